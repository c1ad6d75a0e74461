"""The thin thread: miss, hit, stale, the origin's death, a restart."""

from __future__ import annotations

from pathlib import Path

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.upstream.ports import Trouble
from tests.cdn.world import World


async def test_a_page_is_fetched_once_and_then_served_from_here() -> None:
    world = World()
    world.page("/a", b"hello")
    first, second = await world.get("/a"), await world.get("/a")
    assert first[:2] == second[:2] == (200, b"hello")
    assert first[2].startswith("fwd=uri-miss")
    assert "stored" in first[2]
    assert second[2].startswith("hit")
    await world.settle()
    assert (await world.get("/a"))[2].startswith("hit")
    assert world.origin.count() == 1
    await world.close()


async def test_a_stale_page_is_served_at_once_and_renewed_behind_it() -> None:
    world = World()
    world.page("/a", b"old", "Cache-Control: max-age=60, stale-while-revalidate=60", 'ETag: "1"')
    await world.get("/a")
    await world.settle()
    world.page("/a", b"new", "Cache-Control: max-age=60, stale-while-revalidate=60", 'ETag: "2"')
    world.clock.advance(70)
    stale = await world.get("/a")
    assert stale[1] == b"old"
    assert "stale-while-revalidate" in stale[2]
    assert "ttl=-10" in stale[2]
    await world.settle()
    assert (await world.get("/a"))[:2] == (200, b"new")
    assert world.origin.count() == 2
    await world.close()


async def test_a_dead_origin_leaves_what_was_served_before() -> None:
    world = World()
    world.page("/a", b"kept", "Cache-Control: max-age=60, stale-if-error=600")
    await world.get("/a")
    await world.settle()
    world.clock.advance(100)
    world.origin.down = Trouble.REFUSED
    served = await world.get("/a")
    assert served[:2] == (200, b"kept")
    assert "disconnected" in served[2]
    world.origin.down, world.origin.status = None, 503
    served = await world.get("/a")
    assert served[:2] == (200, b"kept")
    assert "stale-if-error" in served[2]
    head = await world.ask("/a", method="HEAD")
    assert (head.status, head.headers.get("Content-Length")) == (200, "4")
    world.clock.advance(1000)
    assert (await world.ask("/a")).status == 503
    assert (await world.ask("/a", method="HEAD")).status == 503
    await world.close()


async def test_a_dead_origin_of_an_unknown_page_is_an_error_that_names_the_party() -> None:
    world = World()
    world.origin.down = Trouble.CONNECT_TIMEOUT
    answer = await world.ask("/a")
    assert answer.status == 504
    assert "error=connection_timeout" in answer.headers.joined("Proxy-Status")
    assert answer.headers.get("Retry-After") == "5"
    await world.close()


async def test_what_was_served_before_a_restart_is_served_after_it(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    world = World(file=EdgeFile(path))
    world.page("/a", b"durable", "Cache-Control: max-age=60")
    await world.get("/a")
    await world.settle()
    # No close: as after kill -9.
    again = World(file=EdgeFile(path), store=world.store, clock=world.clock)
    again.origin.down = Trouble.REFUSED
    assert (await again.get("/a"))[:2] == (200, b"durable")
    again.clock.advance(3600)
    assert (await again.get("/a"))[:2] == (200, b"durable")
    await again.close()
    await world.close()
    await again.file.close()
    await world.file.close()
