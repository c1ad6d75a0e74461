"""Every page says what is so, escapes what strangers wrote, and leads somewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from urllib.parse import unquote

import pytest

from skerry.budget.core.money import format_money
from skerry.budget.core.report_html import percent
from skerry.dashboard.words import coded, fine_money, money, share
from skerry.registry.operations import SourceStatus, UpstreamStatus
from skerry.telemetry.horizon import Expires, Expiry
from skerry.wire.message import Request
from tests.app.operations_twin import HALF, STATUS, WHOLE
from tests.dashboard.scene import NASTY, NOW, OPERATOR, VIEWER, Scene, links_of, text_of

PAGES = (
    "/", "/images", "/objects", "/upstreams", "/fills", "/events", "/incidents", "/horizon",
    "/costs", "/settings", "/jobs", "/actions/purge", "/actions/warm", "/actions/scrub",
)  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_whole_and_takes_nothing_from_other_hosts(path: str) -> None:
    scene = Scene()
    answer = await scene.get(path)
    text = text_of(answer)
    assert answer.status == 200
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")
    assert not re.findall(r'(?:src|href|action)="(?!/|#)', text)
    policy = answer.headers.get("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/", "/costs"])
async def test_a_number_is_written_as_the_commands_write_it(path: str) -> None:
    """`1000`: a comma is the point of others' decimals, and nobody finds `1,000` in two places."""
    assert not re.findall(r">\s*\d+,\d{3}\b", text_of(await Scene().get(path)))


@pytest.mark.parametrize("path", PAGES)
async def test_what_strangers_wrote_is_text(path: str) -> None:
    text = text_of(await Scene().get(path))
    assert "<script>alert" not in text
    assert "\"'&" not in text.replace("&#34;&#39;&amp;", "")


async def test_the_nasty_names_are_there_to_be_escaped() -> None:
    scene = Scene()
    for path in ("/", "/images", "/objects", "/fills", "/events", "/costs", "/settings"):
        assert NASTY in unescape(text_of(await scene.get(path))), path


async def test_every_link_leads_to_a_page() -> None:
    scene, seen, left = Scene(), set[str](), {"/"}
    while left:
        path = left.pop()
        seen.add(path)
        name, _, query = unescape(path).partition("?")
        if name == "/logout":
            continue
        answer = await scene.dashboard(_request(name, query), OPERATOR)
        assert answer.status == 200, path
        if "text/html" in (answer.headers.get("Content-Type") or ""):
            left |= links_of(text_of(answer)) - seen
    assert {"/image?reference=docker.io/library/nginx%3A1.27", "/actions/pin"} <= seen


def _request(path: str, query: str) -> Request:
    return Request("GET", unquote(path), query=query)


async def test_the_first_screen_answers_the_six_questions() -> None:
    text = unescape(text_of(await Scene().get("/")))
    for said in (
        "No registry can be reached",
        "Yes, but",
        "docker.io cannot be reached",
        "2h00m",
        "tls certificate www.example.org",
        "1.23 EUR so far",
        "At the month's end 2.50 EUR (2.00 EUR to 3.00 EUR)",
        "70.0 %",
        "33.3 %",
        "What needs you",
    ):
        assert said in text, said


async def test_what_has_ended_is_over_and_not_a_time_below_zero() -> None:
    scene = Scene()
    for late in (0.0, 1.0, 86_400.0):
        scene.facts.ending = (Expiry(Expires.TLS_CERTIFICATE, "a.example", NOW - late),)
        assert "It is over" in text_of(await scene.get("/"))


async def test_what_is_well_is_said_to_be_well() -> None:
    scene = Scene()
    well = UpstreamStatus("docker.io", (SourceStatus("origin", "closed", heard_at=NOW - 1),))
    scene.facts.stands = replace(STATUS, cut_off=False, warnings=(), upstreams=(well,))
    scene.facts.happened, scene.facts.ending = (), ()
    text = text_of(await scene.get("/"))
    assert text.count('class="state good"') == 3
    assert "Without an end" in text
    assert "Nothing in the last day" in text


async def test_what_was_never_asked_is_not_called_well() -> None:
    scene = Scene()
    never = UpstreamStatus("docker.io", (SourceStatus("origin", "closed"),))
    scene.facts.stands = replace(STATUS, cut_off=False, warnings=(), upstreams=(never,))
    assert "Not known yet" in text_of(await scene.get("/"))


async def test_an_image_tells_whose_signatures_it_has_and_what_is_missing() -> None:
    scene = Scene()
    whole = text_of(await scene.get("/image", reference=WHOLE.reference))
    assert "production" in whole
    assert "(expired)" in whole
    assert "never evicted" in whole
    half = text_of(await scene.get("/image", reference=HALF.reference))
    assert HALF.missing[0].digest in half
    gone = await scene.get("/image", reference="docker.io/library/none:1")
    assert gone.status == 404


async def test_a_search_finds_parts_of_names() -> None:
    scene = Scene()
    text = text_of(await scene.get("/images", q="nginx"))
    assert WHOLE.reference in text
    assert HALF.reference not in text
    assert "No image" in text_of(await scene.get("/images", q="nothing-like-it"))
    assert "3 of 9 slices" in text_of(await scene.get("/objects", q="film"))


async def test_who_may_only_look_is_shown_no_button() -> None:
    scene = Scene()
    for path in ("/images", "/objects"):
        assert "/actions/" in text_of(await scene.get(path))
        assert "/actions/" not in text_of(await scene.get(path, VIEWER))


async def test_who_is_not_logged_in_is_sent_to_the_login_and_comes_back() -> None:
    answer = await Scene().get("/images", None)
    assert (answer.status, answer.headers.get("Location")) == (303, "/login?next=%2Fimages")


def test_money_and_shares_are_written_as_they_are() -> None:
    assert money(1_234_567_890, "EUR") == "1234.57 EUR"
    assert money(-4_999, "EUR") == "0.00 EUR"
    for micro in (5_000, 15_000, 25_001, -5_001, 999_995_000):
        assert money(micro, "EUR") == format_money(micro, "EUR"), "as the commands say it"
    for part, whole in ((2, 3), (1333, 2000), (1, 2000), (9999, 10_000), (3, 3), (0, 7)):
        assert share(part, whole) == percent(part * 1_000_000 // whole), "as reports say it"
    assert (share(7, 2), fine_money(100 * 10**10, "EUR")) == ("350.0 %", "1000000.00 EUR")
    assert (fine_money(1_234_567, "EUR"), fine_money(-1, "EUR")) == ("1.2346 EUR", "–")
    assert (share(999_999, 1_000_000), share(3, 3), share(0, 0)) == ("99.9 %", "100.0 %", "–")


def test_what_a_sentence_marks_as_code_is_code_and_nothing_in_it_is_markup() -> None:
    assert coded("see `skerry ls` & <b>") == "see <code>skerry ls</code> &amp; &lt;b&gt;"
    assert coded("`<i>`") == "<code>&lt;i&gt;</code>"
    assert coded("one ` alone <") == "one ` alone &lt;"
