"""Long lists: searched, filtered, and every row on some page."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from skerry.dashboard.facts import Answered, IncidentRow, ObjectRow
from skerry.dashboard.lists import ROWS_MAX, is_named
from skerry.registry.operations import SourceStatus, UpstreamStatus, Verified
from skerry.store.departures import IMAGE, OBJECT, Departure
from skerry.store.housekeeping import EvictedFor
from skerry.telemetry.events import Event
from skerry.telemetry.ratios import HitRatio
from tests.app.operations_twin import HALF, STATUS, WHOLE
from tests.dashboard.scene import NASTY, NOW, Scene, text_of

GONE = Departure(
    NOW - 3600, IMAGE, "docker.io/library/redis:7", EvictedFor.ROOM, "room for 40 MiB",
    NOW - 9 * 86400, 30 << 20,
)  # fmt: skip


async def said(scene: Scene, path: str, **query: str) -> str:
    return re.sub(r"\s+", " ", unescape(text_of(await scene.get(path, **query))))


@pytest.mark.parametrize(
    "wanted", ["NGINX", "1.27", WHOLE.digest, WHOLE.digest[:20], "aaaaaaa", HALF.missing[0].digest]
)
def test_an_image_is_found_by_its_name_its_tag_and_its_digest(wanted: str) -> None:
    row = HALF if wanted == HALF.missing[0].digest else WHOLE
    assert is_named(row, wanted)
    assert not is_named(row, wanted + "x")


@pytest.mark.parametrize(
    ("show", "there", "not_there"),
    [("whole", WHOLE, HALF), ("half", HALF, WHOLE), ("pinned", WHOLE, HALF)],
)
async def test_a_filter_keeps_what_it_names(show: str, there: object, not_there: object) -> None:
    text = await said(Scene(), "/images", show=show)
    assert getattr(there, "reference") in text  # noqa: B009
    assert getattr(not_there, "reference") not in text  # noqa: B009


async def test_what_is_not_signed_as_asked_is_seen_in_the_list_and_filtered() -> None:
    scene = Scene()
    other = replace(WHOLE, reference="docker.io/library/bare:1")
    scene.facts.rows = (WHOLE, other)
    scene.facts.signed[other.reference] = Verified(other.reference, "", "production", False, 1)
    assert (await said(scene, "/images")).count("not signed as asked") == 2, "it and the filter"
    text = await said(scene, "/images", show="unsigned")
    assert other.reference in text
    assert WHOLE.reference not in text


async def test_no_image_is_beyond_reach() -> None:
    scene = Scene()
    scene.facts.signed = {}
    names = {f"docker.io/library/app-{number:04d}:1" for number in range(2 * ROWS_MAX + 50)}
    scene.facts.rows = [replace(WHOLE, reference=name) for name in sorted(names)]
    seen, path = set[str](), "/images?q=app"
    while path:
        text = text_of(await scene.get("/images", **dict(_query(path))))
        seen |= set(re.findall(r">(docker\.io[^<]*)</a>", text))
        further = re.search(r'rel="next" href="([^"]*)"', text)
        path = unescape(further[1]) if further else ""
    assert seen == names


def _query(path: str) -> list[tuple[str, str]]:
    pairs = (each.split("=") for each in path.partition("?")[2].split("&"))
    return [(name, value) for name, value in pairs]


@pytest.mark.parametrize("page", ["0", "999999", "-1", "x", "9" * 400, "\u0661"])
async def test_a_page_that_is_none_is_the_nearest(page: str) -> None:
    assert (await Scene().get("/images", page=page)).status == 200
    assert (await Scene().get("/events", page=page)).status == 200
    assert (await Scene().get("/objects", beyond=page)).status == 200


async def test_no_object_is_beyond_reach() -> None:
    scene = Scene()
    urls = [f"https://a/{number}" for number in range(ROWS_MAX + 30)]
    scene.facts.stored = [ObjectRow(url, 200, 1, NOW, NOW, NOW) for url in urls]
    first = await said(scene, "/objects")
    assert f"/objects?beyond={ROWS_MAX}" in first
    second = await said(scene, "/objects", beyond=str(ROWS_MAX))
    assert urls[-1] in second
    assert urls[0] + "<" not in second


async def test_what_became_of_an_image_is_told_with_what_to_do() -> None:
    scene = Scene()
    scene.facts.gone = (GONE, replace(GONE, kind=OBJECT, name="https://a/redis"))
    text = await said(scene, "/images", q="redis")
    for told in (GONE.name, "60m ago", "room for 40 MiB", "9d0h ago", "skerry pin", "30.0 MiB"):
        assert told in text, told
    assert "https://a/redis" in await said(scene, "/objects", q="redis")
    own = await said(scene, "/image", reference=GONE.name)
    assert "not here any more" in own
    assert "/actions/warm" in own
    assert GONE.name not in await said(scene, "/images"), "nobody asked for it"


async def test_what_is_here_again_is_not_called_gone() -> None:
    scene = Scene()
    scene.facts.gone = (replace(GONE, name=WHOLE.reference),)
    assert "No longer here" not in await said(scene, "/images", q="nginx")
    assert "It was evicted before" in await said(scene, "/image", reference=WHOLE.reference)


async def test_events_are_found_by_their_words_and_paged() -> None:
    scene = Scene()
    scene.facts.happened = [Event(NOW - n, "tag.moved", f"image {n}", "why") for n in range(450)]
    assert "image 449" in await said(scene, "/events", q="IMAGE 449")
    assert "image 448<" not in await said(scene, "/events", q="image 449")
    assert "image 449<" in await said(scene, "/events", page="3")
    assert "Nothing like it" in await said(scene, "/events", q="x", kind="tag.moved")


async def test_an_incident_of_a_drill_is_marked_and_its_durations_are_readable() -> None:
    scene = Scene()
    scene.facts.lost = (
        IncidentRow("upstream docker.io", NOW - 600, NOW - 598, NOW - 590, NOW - 60, drill=True),
    )
    text = await said(scene, "/incidents")
    for told in ('none">drill<', ">2.0 s<", ">10.0 s<", ">9m<"):
        assert told in text, told


async def test_upstreams_say_what_is_left_of_their_limits_and_sites_how_they_hit() -> None:
    scene = Scene()
    source = SourceStatus(
        "origin", "open", "timeout", NOW - 60, blocked_seconds=30.0, requests_left=7, remaining=93
    )
    scene.facts.stands = replace(STATUS, upstreams=(UpstreamStatus("docker.io", (source,)),))
    scene.facts.month_ratios = Answered((HitRatio("shop", 1000, 700, 200, 3, 100, 25),))
    text = await said(scene, "/upstreams")
    for told in ("93 requests", "7 this minute", "timeout, 60.0 s ago", "asked again in 30.0 s",
                 "stop prefetch", "70.0 %", "25.0 %", ">200<"):  # fmt: skip
        assert told in text, told


HOSTILE = ("<script>alert(1)</script>", "x" * 4000, "\u202egpj.exe", "a\u0000b", NASTY)


@pytest.mark.parametrize("name", HOSTILE)
async def test_whatever_somebody_searches_for_the_page_stays_whole(name: str) -> None:
    scene = Scene()
    scene.facts.gone = (replace(GONE, name=name), replace(GONE, kind=OBJECT, name=name))
    for path, field in (("/images", "q"), ("/objects", "q"), ("/events", "q"),
                        ("/image", "reference"), ("/costs", "month")):  # fmt: skip
        answer = await scene.get(path, **{field: name})
        text = text_of(answer)
        assert text.rstrip().endswith("</html>")
        assert "<script>alert" not in text
        assert answer.status in (200, 400, 404)
