"""`curl -C -` over links that break on either side: a whole file of one representation."""

from __future__ import annotations

import subprocess
from pathlib import Path

from skerry.app.drill import wan as link
from tests.rig.pages import Visitor
from tests.rig.processes import Rig, need
from tests.rig.shelf import MIB, Stream, edge, shelf

FILM = Stream(12 * MIB + 99, seed=31)
WHOLE = FILM.read(0, FILM.size_bytes)
TRIES_MAX = 20


def resume(visitor: Visitor, url: str, file: Path, *options: str) -> int:
    """curl from where the file ends; its exit code."""
    argv = [need("curl"), "-sS", "--max-time", "30", "-C", "-", "-o", str(file), *options]
    return subprocess.run([*argv, *visitor.resolve, url], check=False, timeout=40,
                          capture_output=True).returncode  # fmt: skip


def test_a_link_to_the_visitor_that_breaks_every_few_mebibytes(rig: Rig, tmp_path: Path) -> None:
    origin = shelf(rig)
    origin.put("/film", FILM)
    visitor = edge(rig, origin.url)
    wan = rig.wan(visitor.node.edge)
    host = visitor.url.removeprefix("http://")
    file, tries = tmp_path / "film", 0
    while True:
        rig.run(wan.switch(link.cut_after(3 * MIB, then_heal=True)))
        code = resume(visitor, f"http://127.0.0.1:{wan.port}/film", file, "-H", f"Host: {host}")
        tries += 1
        if code == 0:
            break
        assert tries < TRIES_MAX
    assert tries > 3
    assert file.read_bytes() == WHOLE
    # What was in the buffers of a broken connection is lost, and no more.
    assert wan.statistics().down_bytes < FILM.size_bytes + tries * 2 * MIB
    assert origin.sent_bytes("/film") == FILM.size_bytes


def test_an_origin_that_cuts_every_body_is_asked_for_the_rest(rig: Rig, tmp_path: Path) -> None:
    origin = shelf(rig)
    thing = origin.put("/film", FILM)
    visitor = edge(rig, origin.url)
    thing.cut_at_bytes, thing.cut_times = 5 * MIB + 3, 1
    file = tmp_path / "film"
    assert resume(visitor, f"{visitor.url}/film", file) == 0
    assert file.read_bytes() == WHOLE
    assert origin.sent_bytes("/film") == FILM.size_bytes


def test_a_resumed_range_over_an_origin_that_cuts_it(rig: Rig, tmp_path: Path) -> None:
    origin = shelf(rig)
    thing = origin.put("/film", FILM)
    visitor = edge(rig, origin.url)
    file = tmp_path / "film"
    file.write_bytes(WHOLE[: 2 * MIB + 5])
    thing.cut_at_bytes, thing.cut_times = 7 * MIB + 3, 2
    assert resume(visitor, f"{visitor.url}/film", file) == 0
    assert file.read_bytes() == WHOLE
    assert origin.sent_bytes("/film") < FILM.size_bytes + 2 * MIB


def test_with_if_range_a_changed_file_comes_whole_and_new(rig: Rig, tmp_path: Path) -> None:
    origin = shelf(rig)
    origin.put("/film", FILM)
    visitor = edge(rig, origin.url, {"data_class": "public", "fresh": "0s"})
    tag = visitor.curl("/film", "-r", "0-99").value("ETag")
    newer = Stream(FILM.size_bytes, seed=32)
    origin.put("/film", newer)
    range_and_tag = ("-H", f"If-Range: {tag}", "-H", f"Range: bytes={MIB}-")
    seen = visitor.curl("/film", *range_and_tag)
    assert (seen.status, seen.body) == (200, newer.read(0, newer.size_bytes))
    tag = seen.value("ETag")
    seen = visitor.curl("/film", "-H", f"If-Range: {tag}", "-H", f"Range: bytes={11 * MIB}-")
    assert (seen.status, seen.body) == (206, newer.read(11 * MIB, newer.size_bytes))


def test_a_representation_that_changes_midway_never_mixes(rig: Rig, tmp_path: Path) -> None:
    origin = shelf(rig)
    origin.put("/film", FILM)
    visitor = edge(rig, origin.url)
    half = tmp_path / "film"
    half.write_bytes(visitor.curl("/film", "-r", f"0-{4 * MIB - 1}").body)
    newer = Stream(FILM.size_bytes, seed=33)
    origin.put("/film", newer)
    # The first part is fresh here, so the rest is asked for under its validator, which is gone.
    code = resume(visitor, f"{visitor.url}/film", half)
    got = half.read_bytes()
    rest = got[4 * MIB :]
    assert rest == newer.read(4 * MIB, 4 * MIB + len(rest))
    assert code == 0
    for start in (0, 5 * MIB, 11 * MIB):
        seen = visitor.curl("/film", "-r", f"{start}-{start + 9}")
        assert seen.body == newer.read(start, start + 10)
