"""What takes long, in no time: bounds of the fill engine that only a moved clock can show."""

from __future__ import annotations

from random import Random

import pytest

from sim.loop import Stuck, VirtualLoop
from sim.world import let_go
from skerry.store.ports import SpoolAborted
from skerry.upstream.relay import BUFFER_BYTES_MAX, IDLE_SECONDS, Relay


def test_a_reader_that_takes_nothing_ends_what_passes_through() -> None:
    loop = VirtualLoop(Random(1))

    async def write_for_nobody() -> None:
        relay = Relay("sha256")
        for _ in range(BUFFER_BYTES_MAX // 65536 + 1):
            await relay.write(bytes(65536))

    with pytest.raises(SpoolAborted):
        loop.run_until_complete(write_for_nobody())
    assert loop.time() == pytest.approx(IDLE_SECONDS)
    let_go(loop)


def test_a_world_in_which_nothing_can_happen_is_found_out() -> None:
    loop = VirtualLoop(Random(1))

    async def wait() -> None:
        await loop.create_future()

    with pytest.raises(Stuck):
        loop.run_until_complete(wait())
    let_go(loop)
