"""What every store must do: one suite, run on the memory twin and on the disk.

Owns the behaviour of `ports.Store`. Each check gets a fresh, empty store with at least 64 MiB of
budget, and raises AssertionError. Never reaches behind the port.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from skerry.base.digest import Digest, digest_of
from skerry.store.ports import (
    HELD_BACK_BYTES,
    BlobMissing,
    DigestMismatch,
    KeptStore,
    Spool,
    SpoolAborted,
    StoreError,
)
from skerry.store.testing import read_segment
from skerry.wire.message import BodyAborted, Segment

Check = Callable[[KeptStore], Awaitable[None]]
BIG = bytes(range(256)) * 4096 * 2  # 2 MiB


def expect(truth: bool, what: str) -> None:
    """Raises AssertionError with a sentence."""
    if not truth:
        raise AssertionError(what)


async def fails(work: Awaitable[object], kind: type[Exception], what: str) -> Exception:
    """The error of the right kind; raises AssertionError when it did not come."""
    try:
        await work
    except kind as error:
        return error
    raise AssertionError(f"{what}: no {kind.__name__}")


async def fill(store: KeptStore, data: bytes, *, chunk_bytes: int = 100_000) -> Spool:
    """A spool that has received everything and is not committed."""
    spool = await store.begin(size_bytes=len(data))
    for start in range(0, len(data), chunk_bytes):
        await spool.write(data[start : start + chunk_bytes])
    return spool


def clean(store: KeptStore) -> None:
    """Nothing is left of any spool."""
    now = store.statistics()
    expect((now.spool_count, now.spool_bytes) == (0, 0), f"a spool is left: {now}")


async def what_was_put_is_read_back_whole_and_in_part(store: KeptStore) -> None:
    digest = digest_of(BIG)
    await store.put(digest, BIG)
    expect(store.size_of(digest) == len(BIG), "the size is wrong")
    expect(await read_segment(store.open(digest)) == BIG, "the whole differs")
    expect(await read_segment(store.open(digest, 7, 100)) == BIG[7:107], "the part differs")
    expect(await store.read(digest, bytes_max=len(BIG)) == BIG, "read differs")
    await fails(store.read(digest, bytes_max=10), StoreError, "read over its bound")
    now = store.statistics()
    expect((now.blob_count, now.blob_bytes) == (1, len(BIG)), f"counted wrong: {now}")
    clean(store)


async def an_empty_blob_is_a_blob(store: KeptStore) -> None:
    for algorithm in ("sha256", "sha512"):
        digest = digest_of(b"", algorithm)
        await store.put(digest, b"")
        expect(store.size_of(digest) == 0, "the empty blob is missing")
        expect(await read_segment(store.open(digest)) == b"", "the empty blob has bytes")


async def what_is_not_there_is_missing(store: KeptStore) -> None:
    digest = digest_of(b"never stored")
    expect(store.size_of(digest) is None, "it has a size")
    try:
        store.open(digest)
    except BlobMissing:
        pass
    else:
        raise AssertionError("it opens")
    await fails(store.read(digest, bytes_max=10), BlobMissing, "read")
    await fails(store.verify(digest), BlobMissing, "verify")
    expect(await store.delete(digest) == 0, "deleting it freed something")


async def storing_twice_counts_once(store: KeptStore) -> None:
    for _ in range(2):
        await store.put(digest_of(b"same"), b"same")
    both = [await fill(store, BIG), await fill(store, BIG)]
    await asyncio.gather(*(spool.commit(digest_of(BIG)) for spool in both))
    now = store.statistics()
    expect((now.blob_count, now.blob_bytes) == (2, 4 + len(BIG)), f"counted wrong: {now}")
    clean(store)


async def a_blob_is_named_by_either_algorithm_at_commit(store: KeptStore) -> None:
    digest = digest_of(BIG, "sha512")
    spool = await fill(store, BIG)
    expect(await spool.commit(digest) == digest, "another name is given back")
    expect(await read_segment(store.open(digest)) == BIG, "the bytes differ")
    wrong = await fill(store, BIG)
    await fails(wrong.commit(digest_of(b"x", "sha512")), DigestMismatch, "a wrong sha512")


async def wrong_bytes_are_never_stored_and_every_follower_is_aborted(store: KeptStore) -> None:
    """T10."""
    digest = digest_of(b"something else")
    spool = await store.begin()
    followers = [asyncio.ensure_future(read_segment(spool.follow(0, len(BIG)))) for _ in range(3)]
    await spool.write(BIG)
    await fails(spool.commit(digest), DigestMismatch, "commit")
    for follower in followers:
        await fails(follower, BodyAborted, "a follower")
    expect(store.size_of(digest) is None, "it was stored")
    expect(store.size_of(digest_of(BIG)) is None, "it was stored under its own name")
    clean(store)


async def the_end_is_held_back_until_it_is_proven(store: KeptStore) -> None:
    spool = await fill(store, BIG)
    segment = spool.follow(0, len(BIG))
    seen = 0
    while seen < len(BIG) - HELD_BACK_BYTES:
        seen = await segment.readable(seen)
    expect(seen == len(BIG) - HELD_BACK_BYTES, f"{seen} bytes are shown before the proof")
    rest = asyncio.ensure_future(segment.readable(seen))
    for _ in range(20):
        await asyncio.sleep(0)
    expect(not rest.done(), "the end is shown before the proof")
    await spool.commit(digest_of(BIG))
    expect(await rest == len(BIG), "the end is not shown after the proof")
    segment.close()


async def followers_get_every_byte_whenever_they_join(store: KeptStore) -> None:
    """T35."""
    spool = await store.begin(size_bytes=len(BIG))
    followers = []
    for start in range(0, len(BIG), len(BIG) // 8):
        followers.append((start, asyncio.ensure_future(read_all(spool, start))))
        followers.append((0, asyncio.ensure_future(read_all(spool, 0))))
        await spool.write(BIG[start : start + len(BIG) // 8])
    await spool.commit(digest_of(BIG))
    followers.append((5, asyncio.ensure_future(read_all(spool, 5))))
    for start, follower in followers:
        expect(await follower == BIG[start:], f"a follower from {start} got other bytes")


async def a_deletion_is_told_before_it_returns(store: KeptStore) -> None:
    told: list[Digest] = []
    store.removed = told.append
    await store.put(digest_of(BIG), BIG)
    await store.delete(digest_of(BIG))
    await store.delete(digest_of(BIG))
    expect(told == [digest_of(BIG)], f"told {told}")


async def read_all(spool: Spool, start: int) -> bytes:
    """The rest of BIG from a spool."""
    return await read_segment(spool.follow(start, len(BIG) - start))


async def open_readers_survive_deletion(store: KeptStore) -> None:
    """T37."""
    digest = digest_of(BIG)
    spool = await fill(store, BIG)
    following = spool.follow(0, len(BIG))
    await spool.commit(digest)
    reading = store.open(digest)
    expect(await store.delete(digest) == len(BIG), "freed something else")
    expect(store.size_of(digest) is None, "it is still there")
    expect(await read_segment(reading) == BIG, "the reader lost its bytes")
    expect(await read_segment(following) == BIG, "the follower lost its bytes")
    now = store.statistics()
    expect((now.blob_count, now.blob_bytes) == (0, 0), f"counted wrong: {now}")


async def an_aborted_spool_leaves_nothing(store: KeptStore) -> None:
    spool = await fill(store, BIG)
    reason = SpoolAborted("the upstream went away")
    follower = asyncio.ensure_future(read_all(spool, 0))
    await spool.abort(reason)
    error = await fails(follower, BodyAborted, "a follower")
    expect(error.__cause__ is reason, "the cause is lost")
    await fails(read_all(spool, 0), BodyAborted, "a late follower")
    await fails(spool.write(b"x"), SpoolAborted, "write after abort")
    await fails(spool.commit(digest_of(BIG)), SpoolAborted, "commit after abort")
    await spool.abort(reason)
    expect(store.size_of(digest_of(BIG)) is None, "it was stored")
    clean(store)


async def a_committed_spool_takes_nothing_more_and_its_abort_is_harmless(store: KeptStore) -> None:
    spool = await fill(store, BIG)
    await spool.commit(digest_of(BIG))
    await fails(spool.write(b""), SpoolAborted, "write after commit")
    await fails(spool.commit(digest_of(BIG)), SpoolAborted, "commit after commit")
    await spool.abort(SpoolAborted("too late"))
    expect(await read_all(spool, 0) == BIG, "a late follower lost its bytes")
    expect(await store.read(digest_of(BIG), bytes_max=len(BIG)) == BIG, "the blob is gone")
    clean(store)


async def more_or_less_than_announced_is_refused(store: KeptStore) -> None:
    """T13."""
    spool = await store.begin(size_bytes=10)
    await fails(spool.write(b"x" * 11), SpoolAborted, "more than announced")
    await spool.abort(SpoolAborted("too much"))
    spool = await store.begin(size_bytes=10)
    await spool.write(b"short")
    await fails(spool.commit(digest_of(b"short")), DigestMismatch, "less than announced")
    expect(store.size_of(digest_of(b"short")) is None, "it was stored")
    clean(store)


async def a_cancelled_writer_leaves_nothing_and_its_followers_know(store: KeptStore) -> None:
    async def work() -> None:
        spool = await store.begin()
        spools.append(spool)
        try:
            while True:
                await spool.write(BIG)
                arrived.set()
                if spool.received_bytes >= 16 * len(BIG):
                    await asyncio.Event().wait()
        finally:
            await spool.abort(SpoolAborted("the writer was cancelled"))

    spools: list[Spool] = []
    arrived = asyncio.Event()
    writer = asyncio.ensure_future(work())
    await arrived.wait()
    follower = asyncio.ensure_future(read_segment(spools[0].follow(0, 1 << 30)))
    writer.cancel()
    await asyncio.wait([writer])
    await fails(follower, BodyAborted, "the follower")
    clean(store)


async def a_sound_blob_verifies(store: KeptStore) -> None:
    for algorithm in ("sha256", "sha512"):
        await store.put(digest_of(BIG, algorithm), BIG)
        expect(await store.verify(digest_of(BIG, algorithm)), "a sound blob is called rotten")
    expect(store.statistics().scrubbed_count == 2, "not counted")


async def blobs_are_listed_once_each_and_in_order_behind_a_cursor(store: KeptStore) -> None:
    wanted = {digest_of(b"%d" % n): len(b"%d" % n) for n in range(50)}
    for number in range(50):
        await store.put(digest_of(b"%d" % number), b"%d" % number)
    expect({info.digest: info.size_bytes for info in store.blobs()} == wanted, "blobs differ")
    seen: list[Digest] = []
    while batch := await store.next_blobs(seen[-1] if seen else None, count_max=7):
        seen += [info.digest for info in batch]
    expect(seen == sorted(wanted), "the cursor skips, repeats or disorders")
    expect(await store.reconcile() == [], "there are suspects among sound blobs")
    expect(store.statistics().blob_bytes == sum(wanted.values()), "reconciled wrong")


async def a_use_moves_the_last_use(store: KeptStore) -> None:
    digest = digest_of(b"used")
    await store.put(digest, b"used")
    store.open(digest).close()
    before = [info.last_used for info in store.blobs()]
    await store.flush()
    expect([info.last_used for info in store.blobs()] == before, "flushing changed the last use")
    expect(before[0] > 0, "a used blob was never used")


async def concurrent_fills_cannot_overshoot_the_budget(store: KeptStore) -> None:
    """T37: what is announced counts from the start."""
    budget = store.statistics().budget_bytes
    share = budget // 4
    begun = await asyncio.gather(
        *(store.begin(size_bytes=share) for _ in range(10)), return_exceptions=True
    )
    taken = [spool for spool in begun if not isinstance(spool, BaseException)]
    expect(0 < len(taken) <= 4, f"{len(taken)} quarters of the budget were promised")
    expect(store.room().used_bytes <= budget, "the budget is overshot")
    for spool in taken:
        await spool.abort(SpoolAborted("done"))
    expect(store.room().used_bytes == 0, "a claim is left")


async def a_closed_segment_gives_its_descriptor_back(store: KeptStore) -> None:
    await store.put(digest_of(BIG), BIG)
    segment: Segment = store.open(digest_of(BIG))
    fd = segment.fileno()
    segment.close()
    segment.close()
    try:
        os.fstat(fd)
    except OSError:
        return
    raise AssertionError("the descriptor is still open")


async def the_scrub_cursor_is_kept(store: KeptStore) -> None:
    expect(store.scrub_cursor() is None, "a fresh store has a cursor")
    await store.set_scrub_cursor(digest_of(b"x"))
    expect(store.scrub_cursor() == digest_of(b"x"), "the cursor is lost")
    await store.set_scrub_cursor(None)
    expect(store.scrub_cursor() is None, "the cursor cannot be reset")


CHECKS: tuple[Check, ...] = (
    what_was_put_is_read_back_whole_and_in_part,
    an_empty_blob_is_a_blob,
    what_is_not_there_is_missing,
    storing_twice_counts_once,
    a_blob_is_named_by_either_algorithm_at_commit,
    wrong_bytes_are_never_stored_and_every_follower_is_aborted,
    the_end_is_held_back_until_it_is_proven,
    followers_get_every_byte_whenever_they_join,
    open_readers_survive_deletion,
    a_deletion_is_told_before_it_returns,
    an_aborted_spool_leaves_nothing,
    a_committed_spool_takes_nothing_more_and_its_abort_is_harmless,
    more_or_less_than_announced_is_refused,
    a_cancelled_writer_leaves_nothing_and_its_followers_know,
    a_sound_blob_verifies,
    blobs_are_listed_once_each_and_in_order_behind_a_cursor,
    a_use_moves_the_last_use,
    concurrent_fills_cannot_overshoot_the_budget,
    a_closed_segment_gives_its_descriptor_back,
    the_scrub_cursor_is_kept,
)
