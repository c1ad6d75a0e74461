"""What happens to a stored answer ends its fast way, also while somebody is being answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import Mode, by_host, by_surrogate_key, by_url
from skerry.cdn.ports import Entry
from tests.adapters.http_door import guarded, until
from tests.cdn.shore import FRESH, HOST, LARGE, SMALL, Shore, shore

Event = Callable[[Shore], Awaitable[object]]


def key_of(target: str) -> CacheKey:
    return CacheKey("http", HOST, 80, target)


async def newer_is_stored(here: Shore) -> None:
    here.world.page("/small", b"newer", 'ETag: "new"', "Cache-Control: max-age=60")
    await here.ask("/small", "Cache-Control: no-cache")


async def newer_begins(here: Shore) -> None:
    here.world.origin.rest = asyncio.Event()
    here.world.page("/small", LARGE, 'ETag: "new"', "Cache-Control: max-age=60")
    here.world.clock.advance(1)
    told = len(here.world.ready.forgotten)
    asking = asyncio.ensure_future(here.ask("/small", "Cache-Control: no-cache"))
    await until(lambda: len(here.world.ready.forgotten) > told)
    await asyncio.gather(*(here.ask("/small", "Range: bytes=1-2") for _ in range(3)))
    here.world.origin.rest.set()
    await asking


async def a_304_updates(here: Shore) -> None:
    here.world.page("/small", SMALL, *FRESH, "X-New: 1")
    await here.ask("/small", "Cache-Control: no-cache")


async def a_head_updates(here: Shore) -> None:
    here.world.page("/small", SMALL, *FRESH, "X-New: 1")
    await here.ask("/small", "Cache-Control: no-cache", method="HEAD")


async def a_write_invalidates(here: Shore) -> None:
    await here.ask("/small", "Content-Length: 0", method="POST")


async def purged(here: Shore, mode: Mode = Mode.HARD, kind: str = "url") -> None:
    target = {
        "url": by_url(key_of("/small")),
        "host": by_host(HOST),
        "key": by_surrogate_key("item-1"),
    }[kind]
    await here.world.rooms.purges.purge(target, mode)


async def evicted(here: Shore) -> None:
    inventory, [group] = here.world.rooms.inventory, here.world.rooms.inventory.groups()
    await inventory.drop([group.id])


async def body_removed(here: Shore) -> None:
    [blob] = here.world.store.blobs()
    await here.world.store.delete(blob.digest)


async def body_rots(here: Shore) -> None:
    [blob] = here.world.store.blobs()
    here.world.store.flip_bit(blob.digest)
    await here.world.store.verify(blob.digest)


async def reloaded(here: Shore) -> None:
    here.world.rooms.front.use(here.world.sites)


EVENTS = (
    newer_is_stored, newer_begins, a_304_updates, a_head_updates, a_write_invalidates,
    evicted, body_removed, body_rots, reloaded,
    *(
        pytest.param(partial(purged, mode=mode, kind=kind), id=f"purged {mode} by {kind}")
        for mode in Mode for kind in ("url", "host", "key")
    ),
)  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("line", ["Accept: */*", "Range: bytes=1-2", 'If-None-Match: "one"'])
async def test_what_happens_to_a_stored_answer_ends_its_fast_way(event: Event, line: str) -> None:
    async with shore() as here:
        here.world.page("/small", SMALL, *FRESH)
        await here.warm("/small", line)
        await event(here)
        await here.world.settle()
        before = here.hits
        got = await here.ask("/small", line)
        assert here.hits == before
        plain = await here.ask_plainly("/small", line)
        assert (got.status, got.body) == (plain.status, plain.body)


@pytest.mark.parametrize("event", EVENTS)
async def test_an_answer_decided_before_something_happened_is_not_kept_after_it(
    event: Event,
) -> None:
    async with shore(held=True) as here:
        here.world.page("/small", SMALL, *FRESH)
        await here.ask("/small")
        await here.world.settle()
        asking = asyncio.ensure_future(here.ask("/small", "X-Held: 1"))
        await guarded(here.decided.wait())
        await event(here)
        await here.world.settle()
        before = here.hits
        here.gate.set()
        await asking
        assert here.hits == before
        got, plain = await here.ask("/small", "X-Other: 1"), await here.ask_plainly("/small")
        assert (got.status, got.body) == (plain.status, plain.body)
        assert got.headers.get("X-New") == plain.headers.get("X-New")


async def test_what_is_given_while_its_successor_is_written_goes_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with shore() as here:
        here.world.page("/small", SMALL, *FRESH)
        await here.warm("/small")
        put, writing, go_on = here.world.variants.put, asyncio.Event(), asyncio.Event()

        async def slow(entry: Entry, *, at_leisure: bool = False) -> None:
            writing.set()
            await go_on.wait()
            await put(entry, at_leisure=at_leisure)

        monkeypatch.setattr(here.world.variants, "put", slow)
        here.world.page("/small", SMALL, *FRESH, "X-New: 1")
        asking = asyncio.ensure_future(here.ask("/small", "Cache-Control: no-cache"))
        await guarded(writing.wait())
        before = here.hits
        for _ in range(2):
            await here.ask("/small")
        assert here.hits == before + 1
        go_on.set()
        await asking
        before = here.hits
        assert (await here.ask("/small")).headers.get("X-New") == "1"
        assert here.hits == before
