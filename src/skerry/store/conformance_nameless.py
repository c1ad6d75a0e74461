"""What every store must do with contents that nobody has a name for before they have come.

Owns the second half of the suite in `store.conformance`, run on every store beside the first.
"""

from __future__ import annotations

import asyncio

from skerry.base.digest import digest_of
from skerry.store.conformance import BIG, Check, clean, expect, fails, read_all
from skerry.store.ports import SMALL_BYTES_MAX, DigestMismatch, KeptStore, SpoolAborted
from skerry.store.testing import read_segment
from skerry.wire.message import BodyAborted


async def what_has_no_name_is_named_by_its_sha256(store: KeptStore) -> None:
    for algorithm in ("sha256", "sha512"):
        spool = await store.begin(algorithm=algorithm, named=False)
        await spool.write(BIG)
        expect(spool.digest is None, "it has a name before it is proven")
        expect(await spool.commit(None) == digest_of(BIG), "it is named otherwise")
        expect(spool.digest == digest_of(BIG), "the spool does not know the name")
    expect(await read_segment(store.open(digest_of(BIG))) == BIG, "the bytes differ")
    empty = await store.begin(named=False)
    expect(await empty.commit(None) == digest_of(b""), "nothing is named otherwise")
    expect(store.statistics().blob_count == 2, "the same bytes are kept twice")
    clean(store)


async def what_has_no_name_is_shown_as_it_comes(store: KeptStore) -> None:
    spool = await store.begin(named=False)
    follower = spool.follow(0, len(BIG))
    await spool.write(b"x")
    expect(await follower.readable(0) == 1, "the first byte is held back")
    await spool.write(BIG[1:])
    seen = 1
    while seen < len(BIG):
        seen = await follower.readable(seen)
    follower.close()
    await spool.abort(SpoolAborted("cut"))
    await fails(read_all(spool, 0), BodyAborted, "a follower of what was cut")
    clean(store)


async def what_has_no_name_is_proven_by_its_length(store: KeptStore) -> None:
    """T13: the only proof there is."""
    spool = await store.begin(size_bytes=10, named=False)
    await spool.write(b"short")
    follower = asyncio.ensure_future(read_segment(spool.follow(0, 10)))
    await fails(spool.commit(None), DigestMismatch, "less than announced")
    await fails(follower, BodyAborted, "its follower")
    expect(store.size_of(digest_of(b"short")) is None, "it was stored")
    clean(store)


async def a_small_one_without_a_name_is_at_hand_when_it_is_proven(store: KeptStore) -> None:
    data = b"page" * 700
    spool = await store.begin(size_bytes=len(data), named=False)
    early = asyncio.ensure_future(read_segment(spool.follow(0, len(data))))
    await spool.write(data[:1000])
    expect(spool.content is None, "it is given before it is proven")
    await spool.write(data[1000:])
    shown: list[bytes | None] = []
    digest = await spool.commit(None, when_proven=lambda: shown.append(spool.content))
    expect(shown == [data], "it is not at hand when it is proven")
    expect(await early == data, "a follower from the start has other bytes")
    expect(await read_segment(spool.follow(5, 10)) == data[5:15], "a late follower has others")
    expect(await store.read(digest, bytes_max=len(data)) == data, "it is not in the store")
    again = await store.begin(size_bytes=len(data), named=False)
    await again.write(data)
    expect(await again.commit(None) == digest, "the same bytes have another name")
    expect(store.statistics().blob_count == 1, "the same bytes are kept twice")
    named = await store.begin(size_bytes=len(data))
    await named.write(data)
    await named.commit(digest)
    expect(named.content is None, "what somebody may take for durable is held in memory")
    large = await store.begin(size_bytes=SMALL_BYTES_MAX + 1, named=False)
    await large.write(b"x" * (SMALL_BYTES_MAX + 1))
    await large.commit(None)
    expect(large.content is None, "a large one is held in memory")
    clean(store)


NAMELESS_CHECKS: tuple[Check, ...] = (
    what_has_no_name_is_named_by_its_sha256,
    what_has_no_name_is_shown_as_it_comes,
    what_has_no_name_is_proven_by_its_length,
    a_small_one_without_a_name_is_at_hand_when_it_is_proven,
)
