"""A known mix of visits to a site stands in the metrics exactly, whichever way they took."""

from __future__ import annotations

from pathlib import Path

from tests.app.workers_scene import Scene, opened
from tests.rig.http import Asked, Reply

HITS, STALES, MISSES = 700, 200, 100
FRESH = ("Cache-Control", "max-age=1000")
STALE = ("Cache-Control", "max-age=0, stale-while-revalidate=1000")
KEPT = "Connection: keep-alive"
PAGE = b"p" * 123


def sample(scene: Scene, family: str, outcome: str, *, data_class: str = "public") -> float:
    line = f'{family}{{class="{data_class}",outcome="{outcome}"}}'
    rows = [row for row in scene.node.metrics.expose().splitlines() if row.startswith(f"{line} ")]
    return float(rows[0].rpartition(" ")[2]) if rows else 0.0


async def visit(scene: Scene) -> None:
    """Misses first, then what is stale, then hits: 1,000 visits on one connection."""
    visitor = await scene.visit()

    def fresh(asked: Asked) -> Reply:
        return Reply(200, (FRESH,), PAGE)

    def stale(asked: Asked) -> Reply:
        # Not confirmed: what is behind the answer fails, and the page stays as stale as it was.
        gone = len([path for path in scene.origin.log.paths() if path == "/stale"]) > 1
        return Reply(503) if gone else Reply(200, (STALE,), PAGE)

    for number in range(MISSES - 1):
        scene.replies[f"/{number}"] = fresh
        assert (await visitor.get(f"/{number}", KEPT)).body == PAGE
    scene.replies["/stale"] = stale
    assert (await visitor.get("/stale", KEPT)).body == PAGE
    for _ in range(STALES):
        assert (await visitor.get("/stale", KEPT)).body == PAGE
    for number in range(HITS):
        assert (await visitor.get(f"/{number % 7}", KEPT)).body == PAGE


async def test_seven_hundred_hits_two_hundred_stale_and_a_hundred_misses(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=1) as scene:
        await visit(scene)
        requests, size = "skerry_edge_requests_total", "skerry_edge_answer_bytes_total"
        counted = {each: sample(scene, requests, each) for each in ("hit", "stale", "miss")}
        assert counted == {"hit": HITS, "stale": STALES, "miss": MISSES}
        assert sample(scene, size, "hit") == HITS * len(PAGE)
        assert sample(scene, size, "stale") == STALES * len(PAGE)
        assert sample(scene, size, "miss") == MISSES * len(PAGE)
        door = scene.node.edge_door
        assert door is not None
        assert door.statistics().hot.hits > HITS // 2, "most of them took the fast way"
        others = ("collapsed", "failed", "pass", "refused", "revalidated", "nearer", "written")
        assert not any(sample(scene, requests, each) for each in others)


async def test_what_is_asked_for_does_not_change_how_many_series_there_are(tmp_path: Path) -> None:
    """Three hundred paths that nobody knows: as many series as before (requirements S1)."""
    async with opened(tmp_path, workers=1) as scene:
        visitor = await scene.visit()
        scene.replies["/0"] = lambda asked: Reply(404, (FRESH,), b"none")
        await visitor.get("/0", KEPT)
        await visitor.get("/0?q=0", KEPT)
        before = scene.node.metrics.statistics().series
        for number in range(300):
            path = f"/none/{number}"
            scene.replies[path] = scene.replies["/0"]
            await visitor.get(path, KEPT)
        scene.node.metrics.expose()
        assert scene.node.metrics.statistics().series == before
