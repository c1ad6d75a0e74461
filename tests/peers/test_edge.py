"""The edge as operators and visitors meet it: a real node, nginx as the origin, curl in front."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from skerry.cli.main import make_app
from tests.rig.pages import HOST, Pages, build
from tests.rig.processes import Rig, need

MIB = 1 << 20


@pytest.fixture(scope="module")
def made(shared: Rig) -> Pages:
    return build(shared)


@pytest.fixture
def pages(made: Pages) -> Iterator[Pages]:
    """The module's site, its origin up."""
    yield made
    if not made.origin.child.alive:
        made.origin.restart()


@pytest.fixture
def key(pages: Pages, tmp_path: Path) -> str:
    path = tmp_path / "node.pub"
    path.write_text(skerry(pages, "receipt", "key").stdout)
    return str(path)


def skerry(pages: Pages, *arguments: str) -> Result:
    result = CliRunner().invoke(make_app(), [*arguments, "--config", str(pages.node.config)])
    assert result.exit_code == 0, result.output
    return result


def verified(file: Path, key: str) -> Result:
    """The check as anybody would make it, without a node."""
    return CliRunner().invoke(make_app(), ["receipt", "verify", str(file), "--key", key])


def stored(pages: Pages, path: str, data: bytes) -> None:
    """Has the node hold what the origin has, and see that it is on the disk."""
    assert pages.curl(path).body == data
    pages.node.wait_until_stored()
    assert pages.curl(path).body == data


# what is served


def test_the_first_answer_is_a_miss_and_the_next_ones_are_hits(pages: Pages) -> None:
    data = pages.random("/first", 3000)
    miss, hit = pages.curl("/first"), pages.curl("/first")
    assert (miss.status, miss.body, hit.status, hit.body) == (200, data, 200, data)
    assert "fwd=uri-miss" in miss.cache
    assert "stored" in miss.cache
    assert "hit" in hit.cache
    assert pages.logged("/first") == 1


def test_a_head_request_is_answered_from_what_a_get_has_stored(pages: Pages) -> None:
    data = pages.random("/head", 4000)
    stored(pages, "/head", data)
    head = pages.curl("/head", "-I")
    assert (head.status, head.value("Content-Length")) == (200, "4000")
    assert "hit" in head.cache
    assert pages.logged("/head") == 1


@pytest.mark.parametrize("warm", [True, False], ids=["stored", "cold"])
def test_curl_resumes_a_broken_download(pages: Pages, tmp_path: Path, warm: bool) -> None:
    path = f"/film-{warm}"
    data = pages.random(path, 3 * MIB)
    if warm:
        stored(pages, path, data)
    half = tmp_path / "film"
    half.write_bytes(data[: MIB + 7])
    seen = pages.curl(path, "-C", "-", "-o", str(half))
    assert seen.status == 206
    assert seen.value("Content-Range") == f"bytes {MIB + 7}-{3 * MIB - 1}/{3 * MIB}"
    assert half.read_bytes() == data


def test_a_seek_fetches_what_it_touches_and_no_more(pages: Pages) -> None:
    data = pages.random("/movie", 24 * MIB)
    start, end = 21 * MIB + 5, 21 * MIB + 70_004
    for _ in range(2):
        seen = pages.curl("/movie", "-r", f"{start}-{end}")
        assert (seen.status, seen.body) == (206, data[start : end + 1])
    assert "hit" in seen.cache
    assert pages.sent_bytes("/movie") <= 2 * MIB
    assert pages.curl("/movie").body == data
    pages.node.wait_until_stored()
    assert pages.sent_bytes("/movie") <= 26 * MIB


def test_a_visitor_who_has_it_already_is_told_so(pages: Pages) -> None:
    data = pages.random("/same", 2000)
    stored(pages, "/same", data)
    tag = pages.curl("/same").value("ETag")
    seen = pages.curl("/same", "-H", f"If-None-Match: {tag}")
    assert (seen.status, seen.body) == (304, b"")


def test_a_host_that_no_site_names_is_turned_away(pages: Pages) -> None:
    assert pages.curl("/first", "-H", "Host: elsewhere.example").status == 421


def test_what_the_origin_does_not_have_is_not_made_up(pages: Pages) -> None:
    assert pages.curl("/nothing").status == 404


def test_a_route_that_is_not_public_is_passed_through_and_never_stored(rig: Rig) -> None:
    pages = build(rig, {"prefix": "/"}, {"prefix": "/media/", "data_class": "public"})
    data = pages.random("/account", 2000)
    for _ in range(2):
        seen = pages.curl("/account")
        assert seen.body == data
        assert "hit" not in seen.cache
    assert pages.logged("/account") == 2
    film = pages.random("/media/film", 2000, seed=2)
    stored(pages, "/media/film", film)
    assert pages.logged("/media/film") == 1
    files = [file for file in (pages.node.folder / "data").rglob("*") if file.is_file()]
    assert not any(data in file.read_bytes() for file in files)


def test_an_origin_is_sent_the_visitor_s_host_or_its_own(rig: Rig, pages: Pages) -> None:
    assert pages.curl("/host").body.decode() == pages.url.removeprefix("http://")
    own = build(rig, preserve_host=False)
    assert own.curl("/host").body.decode() == own.origin.authority


# what holds


def test_a_dead_origin_is_not_noticed_but_for_the_mark_of_staleness(pages: Pages) -> None:
    fresh, brief = pages.random("/kept", 3000), pages.random("/brief/kept", 3000, seed=2)
    stored(pages, "/kept", fresh)
    stored(pages, "/brief/kept", brief)
    pages.origin.child.kill()
    seen = pages.curl("/kept")
    assert (seen.status, seen.body) == (200, fresh)
    stale = pages.curl("/brief/kept")
    assert (stale.status, stale.body) == (200, brief)
    assert "ttl=-" in stale.cache or "ttl=0" in stale.cache
    assert "hit" in stale.cache or "fwd=stale" in stale.cache
    gone = pages.curl("/never-asked-for")
    assert gone.status in (502, 503, 504)
    assert gone.value("Proxy-Status")
    status = skerry(pages, "status").stdout
    assert f"{HOST} via {pages.origin.authority}: breaker" in status


def test_after_kill_9_and_with_the_origin_gone_what_was_served_is_served_again(rig: Rig) -> None:
    pages = build(rig)
    small, big = pages.random("/small", 3000), pages.random("/big", 5 * MIB)
    stored(pages, "/small", small)
    stored(pages, "/big", big)
    pages.origin.child.kill()
    pages.node.restart()
    for path, data in (("/small", small), ("/big", big)):
        seen = pages.curl(path)
        assert (seen.status, seen.body) == (200, data)
        assert "hit" in seen.cache


def test_a_polite_stop_and_a_new_start_keep_it_too(rig: Rig) -> None:
    pages = build(rig)
    stored(pages, "/page", pages.random("/page", 3000))
    pages.node.stop()
    pages.node.start()
    assert "hit" in pages.curl("/page").cache


def test_eviction_counts_pages_like_images(rig: Rig) -> None:
    pages = build(rig)
    data = pages.random("/big", 2 * MIB)
    stored(pages, "/big", data)
    freed = json.loads(skerry(pages, "evict", "--bytes", "1MiB", "--json").stdout)["freed_bytes"]
    assert freed == 2 * MIB
    assert "hit" not in pages.curl("/big").cache


# purge


def test_a_purged_url_is_gone_before_the_call_returns(pages: Pages) -> None:
    old = pages.random("/page", 3000)
    stored(pages, "/page", old)
    stored(pages, "/pages", pages.random("/pages", 3000))
    new = pages.random("/page", 3000, seed=2)
    assert pages.curl("/page").body == old
    said = skerry(pages, "purge", "--url", f"{pages.url}/page").stdout
    assert said.startswith("1 objects gone: url /page")
    seen = pages.curl("/page")
    assert seen.body == new
    assert "hit" not in seen.cache
    assert "hit" in pages.curl("/pages").cache


def test_a_purged_prefix_is_gone_by_whole_segments(pages: Pages) -> None:
    for path in ("/shop/a", "/shop/b/c", "/shopping"):
        stored(pages, path, pages.random(path, 2000))
    said = skerry(pages, "purge", "--prefix", f"{pages.url}/shop").stdout
    assert said.startswith("2 objects gone")
    assert "hit" not in pages.curl("/shop/a").cache
    assert "hit" not in pages.curl("/shop/b/c").cache
    assert "hit" in pages.curl("/shopping").cache


def test_a_surrogate_key_and_a_host_purge_what_bears_them(pages: Pages) -> None:
    for path in ("/item-1", "/item-10"):
        stored(pages, path, pages.random(path, 2000))
    assert skerry(pages, "purge", "--key", "/item-1").stdout.startswith("1 objects gone")
    assert "hit" not in pages.curl("/item-1").cache
    assert "hit" in pages.curl("/item-10").cache
    skerry(pages, "purge", "--host", HOST)
    assert "hit" not in pages.curl("/item-10").cache


def test_what_was_purged_softly_is_checked_before_it_is_used(pages: Pages) -> None:
    data = pages.random("/soft", 2000)
    stored(pages, "/soft", data)
    skerry(pages, "purge", "--url", f"{pages.url}/soft", "--soft")
    seen = pages.curl("/soft")
    assert seen.body == data
    assert "fwd=stale" in seen.cache
    assert "fwd-status=304" in seen.cache  # kept, so that no body had to come again
    assert "fwd" not in pages.curl("/soft").cache


def test_a_purge_holds_after_kill_9(rig: Rig) -> None:
    pages = build(rig)
    stored(pages, "/page", pages.random("/page", 3000))
    skerry(pages, "purge", "--host", HOST)
    pages.origin.child.kill()
    pages.node.restart()
    assert pages.curl("/page").status in (502, 503, 504)


# receipts


def test_a_receipt_verifies_with_the_public_key_and_an_edited_one_does_not(
    pages: Pages, key: str, tmp_path: Path
) -> None:
    for path in ("/a", "/b", "/c"):
        skerry(pages, "purge", "--url", f"{pages.url}{path}")
    file = tmp_path / "receipts"
    listed = skerry(pages, "receipt", "list").stdout
    file.write_text(listed)
    assert verified(file, key).exit_code == 0
    file.write_text(listed.replace('"value":"/b"', '"value":"/x"'))
    assert verified(file, key).exit_code == 1
    file.write_text("".join(line for line in listed.splitlines(True) if '"/b"' not in line))
    assert verified(file, key).exit_code == 1


def test_openssl_alone_can_check_a_receipt(pages: Pages, key: str, tmp_path: Path) -> None:
    """As docs/internals/purge.md says it."""
    line = skerry(pages, "purge", "--key", "tide", "--json").stdout
    receipt = json.loads(line)["receipt"]
    signature, message = tmp_path / "signature", tmp_path / "message"
    signature.write_bytes(base64.b64decode(receipt.pop("signature")))
    text = json.dumps(receipt, sort_keys=True, separators=(",", ":"))
    message.write_text(f"skerry-purge-receipt/1\n{text}")
    argv = [need("openssl"), "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin"]
    argv += ["-in", str(message), "-sigfile", str(signature)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert "Verified Successfully" in done.stdout, done.stderr
    message.write_text(message.read_text().replace("tide", "ebb"))
    assert subprocess.run(argv, check=False, capture_output=True).returncode != 0


def test_the_chain_goes_on_after_a_restart(rig: Rig, tmp_path: Path) -> None:
    pages = build(rig)
    key, file = tmp_path / "node.pub", tmp_path / "receipts"
    key.write_text(skerry(pages, "receipt", "key").stdout)
    skerry(pages, "purge", "--host", HOST)
    pages.node.restart()
    skerry(pages, "purge", "--host", HOST)
    file.write_text(skerry(pages, "receipt", "list").stdout)
    assert verified(file, str(key)).stdout == "2 receipts: good\n"
