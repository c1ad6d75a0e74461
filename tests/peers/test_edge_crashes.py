"""kill -9 amid small misses of the edge: what was stored is there, and nothing wrong is."""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

from typer.testing import CliRunner

from skerry.base.digest import digest_of
from skerry.cli.main import make_app
from tests.rig.pages import HOST, Pages, build
from tests.rig.processes import Rig

ROUNDS, VISITORS, EARLIER = 3, 4, 20
SEED = 20_260_102


class Served:
    """Every page that a visitor has got whole."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self._changed = threading.Condition()

    def add(self, path: str, body: bytes) -> None:
        with self._changed:
            self.pages[path] = body
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.pages) >= count, timeout=60)


def test_kill_9_amid_small_misses_leaves_a_sound_store_that_serves_what_was_stored(
    rig: Rig,
) -> None:
    pages = build(rig)
    chance = random.Random(SEED)
    kept: dict[str, bytes] = {}
    for round_number in range(ROUNDS):
        for number in range(EARLIER):
            path = f"/r{round_number}/kept/{number}"
            kept[path] = pages.random(path, chance.randrange(1, 65_537), chance.getrandbits(32))
            assert "stored" in pages.curl(path).cache
        pages.node.child.wait_until(lambda: _rows(pages, "/kept/") == len(kept))
        served = _miss_until_killed(pages, f"/r{round_number}/new", chance)
        pages.node.start()
        _is_sound(pages)
        for path, body in served.items():
            assert pages.curl(path).body == body, path
    pages.origin.child.kill()
    for path, body in kept.items():
        seen = pages.curl(path)
        assert (seen.status, seen.body) == (200, body), path
        assert "hit" in seen.cache


def _miss_until_killed(pages: Pages, folder: str, chance: random.Random) -> dict[str, bytes]:
    """Some of what visitors got until kill -9, each page asked for once."""
    served = Served()
    least = chance.randrange(50, 400)
    made = {
        f"{folder}/{number}": pages.random(f"{folder}/{number}", 3072, chance.getrandbits(32))
        for number in range(2000)
    }
    with ThreadPoolExecutor(VISITORS) as pool:
        for first in range(VISITORS):
            pool.submit(_visit, pages, list(made)[first::VISITORS], served)
        served.wait_for(least)
        pages.node.kill()
    assert len(served.pages) < len(made), "it was killed amid them"
    for path, body in served.pages.items():
        assert body == made[path]
    return dict(list(served.pages.items())[-20:])


def _visit(pages: Pages, paths: list[str], served: Served) -> None:
    host, _, port = pages.node.edge.partition(":")
    line = http.client.HTTPConnection(host, int(port), timeout=20)
    for path in paths:
        try:
            line.request("GET", path, headers={"Host": HOST})
            answer = line.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return
        assert answer.status == 200
        served.add(path, body)


def _rows(pages: Pages, part: str) -> int:
    file = pages.node.folder / "data" / "edge.sqlite"
    with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as db:
        [(count,)] = db.execute("SELECT count(*) FROM entry WHERE path LIKE ?", (f"%{part}%",))
    return int(count)


def _is_sound(pages: Pages) -> None:
    """No leftovers, every file what it is called, and the node's own scrub says so, too."""
    data = pages.node.folder / "data"
    assert list((data / "ingest").iterdir()) == []
    files = [path for path in (data / "blobs").rglob("*") if path.is_file()]
    assert len(files) > EARLIER
    for path in files:
        assert digest_of(path.read_bytes(), path.parts[-3]).hex == path.name
    arguments = ["scrub", "--json", "--config", str(pages.node.config)]
    said = CliRunner().invoke(make_app(), arguments)
    report = json.loads(said.stdout)
    assert (report["ended"], report["result"]["corrupt_count"], report["lost"]) == (True, 0, [])
    assert report["result"]["checked_count"] >= len(files)
