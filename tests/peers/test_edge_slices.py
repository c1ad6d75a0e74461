"""Large objects through a real node: what is fetched, what it costs, what a purge leaves."""

from __future__ import annotations

import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import pytest
from typer.testing import CliRunner

from skerry.cli.main import make_app
from tests.rig.pages import Visitor
from tests.rig.processes import Rig, need
from tests.rig.shelf import MIB, Shelf, Stream, edge, shelf

SIZE = 256 * MIB
READERS = 8


@dataclass
class Stand:
    origin: Shelf
    visitor: Visitor


@pytest.fixture(scope="module")
def stand(shared: Rig) -> Stand:
    origin = shelf(shared)
    return Stand(origin, edge(shared, origin.url))


def test_eight_random_readers_fetch_each_touched_slice_once(stand: Stand) -> None:
    film = Stream(SIZE, seed=3)
    stand.origin.put("/random", film)
    before = stand.visitor.node.child.rss_bytes()

    def read(reader: int) -> set[int]:
        chance, touched = Random(reader), set()
        for _ in range(12):
            start = chance.randrange(SIZE - 3 * MIB)
            stop = start + chance.randrange(1, 3 * MIB)
            seen = stand.visitor.curl("/random", "-r", f"{start}-{stop - 1}")
            assert seen.status == 206
            assert seen.value("Content-Length") == str(stop - start)
            assert seen.body == film.read(start, stop)
            touched |= set(range(start // MIB, (stop - 1) // MIB + 1))
        return touched

    with ThreadPoolExecutor(READERS) as pool:
        unique = set().union(*pool.map(read, range(READERS)))
    assert stand.origin.sent_bytes("/random") <= len(unique) * MIB
    assert stand.visitor.node.child.rss_bytes() - before < 64 * MIB


def test_a_seek_to_nine_tenths_fetches_nothing_before_it(stand: Stand) -> None:
    film = Stream(SIZE, seed=4)
    stand.origin.put("/seek", film)
    start = SIZE * 9 // 10
    assert stand.visitor.curl("/seek", "-r", f"{start}-{start + 9}").body == film.read(
        start, start + 10
    )
    assert stand.origin.sent_bytes("/seek") == MIB
    asked = [each.value("Range") for each in stand.origin.asked if each.path == "/seek"]
    assert asked == [f"bytes={start // MIB * MIB}-{start // MIB * MIB + MIB - 1}"]


def test_all_slices_together_are_the_whole(stand: Stand) -> None:
    size = 40 * MIB + 12345
    film = Stream(size, seed=5)
    stand.origin.put("/whole", film)
    assert stand.visitor.curl("/whole", "-r", f"{MIB}-{size - 1}").body == film.read(MIB, size)
    assert stand.visitor.curl("/whole", "-r", "0-99").status == 206
    whole = stand.visitor.curl("/whole")
    assert (whole.status, whole.value("Content-Length")) == (200, str(size))
    assert whole.body == film.read(0, size)
    assert "hit" in whole.cache
    assert stand.origin.sent_bytes("/whole") == size


def test_many_readers_of_one_cold_object_cost_it_once(stand: Stand) -> None:
    size = 32 * MIB
    film = Stream(size, seed=6)
    stand.origin.put("/crowd", film)
    expected = hashlib.sha256(film.read(0, size)).hexdigest()

    def read(_: int) -> str:
        argv = [need("curl"), "-sS", "--max-time", "60", *stand.visitor.resolve]
        argv += ["-r", f"0-{size - 1}", f"{stand.visitor.url}/crowd"]
        done = subprocess.run(argv, check=True, capture_output=True, timeout=70)
        return hashlib.sha256(done.stdout).hexdigest()

    with ThreadPoolExecutor(READERS) as pool:
        assert set(pool.map(read, range(READERS))) == {expected}
    assert stand.origin.sent_bytes("/crowd") == size


def test_a_purge_takes_every_slice_and_a_new_representation_brings_its_own(stand: Stand) -> None:
    old, new = Stream(8 * MIB, seed=7), Stream(8 * MIB, seed=8)
    stand.origin.put("/purged", old)
    assert stand.visitor.curl("/purged", "-r", f"0-{6 * MIB}").body == old.read(0, 6 * MIB + 1)
    stand.origin.put("/purged", new)
    config = str(stand.visitor.node.config)
    url = f"{stand.visitor.url}/purged"
    done = CliRunner().invoke(make_app(), ["purge", "--url", url, "--config", config])
    assert done.exit_code == 0, done.output
    for start in (0, 3 * MIB, 5 * MIB + 7):
        seen = stand.visitor.curl("/purged", "-r", f"{start}-{start + 99}")
        assert seen.body == new.read(start, start + 100)


def test_what_is_in_slices_outlives_kill_9_and_the_origin(rig: Rig) -> None:
    origin = shelf(rig)
    visitor = edge(rig, origin.url)
    film = Stream(24 * MIB, seed=9)
    origin.put("/film", film)
    start, stop = 20 * MIB + 1, 22 * MIB + 1
    for _ in range(2):
        assert visitor.curl("/film", "-r", f"{start}-{stop - 1}").body == film.read(start, stop)
    visitor.node.wait_until_stored()
    rig.run(origin.server.close())
    visitor.node.restart()
    seen = visitor.curl("/film", "-r", f"{start}-{stop - 1}")
    assert seen.body == film.read(start, stop)
    assert "hit" in seen.cache
    missing = visitor.curl("/film", "-r", "0-9")
    assert missing.status in (502, 503, 504)
