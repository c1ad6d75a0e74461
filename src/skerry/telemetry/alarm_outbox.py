"""Alarms on their way out.

Owns when one is tried, and tried again: with growing pauses for as long as it takes, up to a week.
One channel's trouble holds up no other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from skerry.base.clock import Clock
from skerry.telemetry.alarms import Alarm, AlarmsUnusable, Channel, ChannelFailed, Due, Outbox
from skerry.telemetry.events import Events, Level

LOOK_SECONDS = 2.0
FIRST_WAIT_SECONDS, WAIT_SECONDS_MAX = 15.0, 3600.0
GIVEN_UP_SECONDS = 7 * 86400.0
AT_ONCE_MAX = 20
HELD_MAX = 256
"""Alarms in memory while the disk takes no writes; the oldest go."""


def wait_seconds(attempts: int, chance: float) -> float:
    """How long to wait after so many attempts in vain; `chance` in [0, 1) spreads many nodes."""
    doubled = FIRST_WAIT_SECONDS * 2.0 ** min(attempts - 1, 16)
    return min(doubled, WAIT_SECONDS_MAX) * (0.75 + chance / 2)


@dataclass(frozen=True, slots=True)
class AlarmStatistics:
    """A snapshot; counts are since start."""

    sounded_count: int
    sent_count: int
    failed_count: int
    given_up_count: int
    held_count: int


class AlarmOutbox:
    """`telemetry.alarms.Alarms` over an outbox and the channels that are configured."""

    def __init__(
        self,
        outbox: Outbox,
        channels: Sequence[Channel],
        *,
        clock: Clock,
        chance: Random,
        events: Events,
    ) -> None:
        self._outbox = outbox
        self._channels = {channel.name: channel for channel in channels}
        self._clock = clock
        self._chance = chance
        self._events = events
        self._held: deque[Alarm] = deque(maxlen=HELD_MAX)
        self._sounded = self._sent = self._failed = self._given_up = 0
        self._troubled: set[str] = set()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Those that are configured."""
        return tuple(self._channels.values())

    def statistics(self) -> AlarmStatistics:
        """A snapshot."""
        return AlarmStatistics(
            self._sounded, self._sent, self._failed, self._given_up, len(self._held)
        )

    async def sound(self, alarm: Alarm) -> None:
        """See `Alarms`."""
        self._sounded += 1
        try:
            await self._outbox.add(alarm, tuple(self._channels))
        except AlarmsUnusable as error:
            self._held.append(alarm)
            self._tell("alarm.not_kept", alarm.kind, error.what, error.next_step)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Sends what is due."""
        try:
            while self._held:
                await self._outbox.add(self._held[0], tuple(self._channels))
                self._held.popleft()
            dropped = await self._outbox.drop(self._clock.now() - GIVEN_UP_SECONDS)
            due = self._outbox.due(self._clock.now(), AT_ONCE_MAX)
        except AlarmsUnusable:
            return  # told when it was sounded
        if dropped:
            self._given_up += dropped
            what = f"{dropped} could not be sent for a week"
            self._tell("alarm.given_up", "alarms", what, "check the channels: skerry alarms test")
        by_channel: dict[str, list[Due]] = {}
        for each in due:
            by_channel.setdefault(each.channel, []).append(each)
        await asyncio.gather(*(self._empty(name, each) for name, each in by_channel.items()))

    async def _empty(self, name: str, due: Sequence[Due]) -> None:
        """One channel's, in their order; after one in vain the others of it wait, too."""
        channel = self._channels.get(name)
        for each in due:
            if channel is None or not await self._try(channel, each):
                break

    async def _try(self, channel: Channel, due: Due) -> bool:
        key = due.alarm.key
        try:
            await channel.send(due.alarm)
        except ChannelFailed as error:
            self._failed += 1
            wait = wait_seconds(due.attempts + 1, self._chance.random())
            await self._outbox.failed(key, channel.name, again_at=self._clock.now() + wait)
            if channel.name not in self._troubled:
                self._troubled.add(channel.name)
                self._tell("alarm.channel_failed", channel.name, error.what, error.next_step)
            return False
        await self._outbox.sent(key, channel.name)
        self._sent += 1
        if channel.name in self._troubled:
            self._troubled.discard(channel.name)
            self._events.emit("alarm.channel_works", channel.name, cause="it takes alarms again")
        return True

    def _tell(self, kind: str, subject: str, cause: str, next_step: str) -> None:
        step = next_step or "it is tried again by itself"
        self._events.emit(kind, subject, cause=cause, next_step=step, level=Level.WARNING)
