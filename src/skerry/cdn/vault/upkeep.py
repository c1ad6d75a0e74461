"""What a vault does by itself: sends, withdraws what is over, looks for what was not sent, proves.

Owns when. A vault that does not answer stops none of it: it is tried again later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.cdn.vault.care import Care
from skerry.cdn.vault.ports import Copies, VaultUnavailable
from skerry.cdn.vault.writeback import WriteBack
from skerry.telemetry.events import Events, Level

TICK_SECONDS = 1.0
FIRST_LOOK_SECONDS = 20.0
LOOK_SECONDS = 3600.0
REST_SECONDS = 600.0
PROOF_BYTES_PER_SECOND_MIN = 256 << 10

T = TypeVar("T")


class VaultUpkeep:
    """The loops of one vault. `verify_seconds` is the period of proof, 0 for never."""

    def __init__(
        self,
        *,
        writeback: WriteBack,
        care: Care,
        copies: Copies,
        clock: Clock,
        events: Events,
        verify_seconds: float,
    ) -> None:
        self._writeback = writeback
        self._care = care
        self._copies = copies
        self._clock = clock
        self._events = events
        self._verify_seconds = verify_seconds

    def start(self, nursery: Nursery) -> None:
        """Begins; ends with the nursery."""
        nursery.start(self._tick(), name="vault.tick")
        nursery.start(self._send(), name="vault.outbox")
        nursery.start(self._look(), name="vault.look")
        if self._verify_seconds:
            nursery.start(self._prove(), name="vault.proof")

    async def _tick(self) -> None:
        while True:
            await self._survived(self._writeback.note, None)
            self._writeback.nudged.set()
            await self._clock.sleep(TICK_SECONDS)

    async def _send(self) -> None:
        while True:
            await self._writeback.nudged.wait()
            self._writeback.nudged.clear()
            await self._survived(self._writeback.step, None)

    async def _look(self) -> None:
        await self._clock.sleep(FIRST_LOOK_SECONDS)
        while True:
            await self._survived(self._writeback.expire, 0)
            await self._survived(self._care.look_over, 0)
            await self._clock.sleep(LOOK_SECONDS)

    async def _prove(self) -> None:
        """So fast that everything is proven within half the period, and no faster."""
        while True:
            size = await self._survived(self._prove_one, None)
            if size is None:
                await self._clock.sleep(REST_SECONDS)
                continue
            whole = self._copies.statistics().plain_bytes
            pace = max(2 * whole / self._verify_seconds, PROOF_BYTES_PER_SECOND_MIN)
            await self._clock.sleep(max(TICK_SECONDS, size / pace))

    async def _prove_one(self) -> int | None:
        return await self._care.prove_next(self._clock.now() - self._verify_seconds)

    async def _survived(self, work: Callable[[], Awaitable[T]], otherwise: T) -> T:
        try:
            return await work()
        except VaultUnavailable:
            return otherwise  # the outbox tells of it
        except SkerryError as error:
            self._events.emit(
                "vault.upkeep_failed",
                "vault",
                cause=error.what,
                next_step=error.next_step,
                level=Level.ERROR,
            )
            return otherwise
