"""The memory twin: the conformance suite, and the faults it promises."""

from __future__ import annotations

import asyncio
import inspect
from types import ModuleType

import pytest

from skerry.base.clock import ManualClock
from skerry.base.digest import digest_of
from skerry.store import conformance, conformance_nameless
from skerry.store.conformance import BIG, CHECKS, Check, fill
from skerry.store.conformance_nameless import NAMELESS_CHECKS
from skerry.store.ports import SpoolAborted, StoreError, StoreFull
from skerry.store.testing import MemoryStore, read_segment
from skerry.wire.message import BodyAborted


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(ManualClock(), budget_bytes=64 << 20)


@pytest.mark.parametrize("check", CHECKS + NAMELESS_CHECKS, ids=lambda check: check.__name__)
async def test_the_memory_twin_keeps_the_stores_promise(check: Check, store: MemoryStore) -> None:
    await asyncio.wait_for(check(store), 30)


@pytest.mark.parametrize(
    ("suite", "listed"), [(conformance, CHECKS), (conformance_nameless, NAMELESS_CHECKS)]
)
def test_no_check_is_left_off_its_list(suite: ModuleType, listed: tuple[Check, ...]) -> None:
    written = {
        function
        for function in vars(suite).values()
        if inspect.iscoroutinefunction(function)
        and function.__module__ == suite.__name__
        and list(inspect.signature(function).parameters) == ["store"]
    }
    assert written == set(listed)


async def test_a_crash_keeps_what_was_committed_and_nothing_else(store: MemoryStore) -> None:
    await store.put(digest_of(b"kept"), b"kept")
    spool = await fill(store, BIG)
    follower = spool.follow(0, len(BIG))
    store.crash()
    with pytest.raises(BodyAborted):
        await read_segment(follower)
    with pytest.raises(SpoolAborted):
        await spool.commit(digest_of(BIG))
    assert [info.digest for info in store.blobs()] == [digest_of(b"kept")]


async def test_a_crash_between_proof_and_rename_keeps_nothing(store: MemoryStore) -> None:
    spool = await fill(store, BIG)
    commit = asyncio.ensure_future(spool.commit(digest_of(BIG)))
    await asyncio.sleep(0)
    store.crash()
    with pytest.raises(SpoolAborted):
        await commit
    assert store.size_of(digest_of(BIG)) is None


async def test_a_turned_bit_is_found_and_put_away(store: MemoryStore) -> None:
    await store.put(digest_of(BIG), BIG)
    store.flip_bit(digest_of(BIG), 1000)
    assert not await store.verify(digest_of(BIG))
    assert store.size_of(digest_of(BIG)) is None
    assert store.statistics().quarantine_count == 1


async def test_a_full_or_read_only_twin_goes_on_reading_and_recovers(store: MemoryStore) -> None:
    await store.put(digest_of(b"kept"), b"kept")
    for fault in ("full", "read_only"):
        setattr(store, fault, True)
        with pytest.raises(StoreFull):
            await store.put(digest_of(b"new"), b"new")
        assert await read_segment(store.open(digest_of(b"kept"))) == b"kept"
        assert not store.statistics().writable
        setattr(store, fault, False)
    await store.put(digest_of(b"new"), b"new")
    assert store.statistics().writable


async def test_a_killed_writer_learns_it_at_its_next_call(store: MemoryStore) -> None:
    spool = await fill(store, BIG)
    store.kill_writers()
    with pytest.raises(StoreError):
        await spool.commit(digest_of(BIG))
