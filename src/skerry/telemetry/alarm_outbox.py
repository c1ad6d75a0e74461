"""Alarms on their way out.

Owns when one is tried, and tried again: with growing pauses for as long as it takes, up to a week.
One channel's trouble holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from skerry.base.clock import Clock
from skerry.telemetry.alarms import (
    HELD_BACK,
    IMPORTANCE,
    Alarm,
    AlarmsUnusable,
    Channel,
    ChannelFailed,
    Due,
    HeldBack,
    Outbox,
)
from skerry.telemetry.events import Events, Level

LOOK_SECONDS = 2.0
FIRST_WAIT_SECONDS, WAIT_SECONDS_MAX = 15.0, 3600.0
GIVEN_UP_SECONDS = 7 * 86400.0
AT_ONCE_MAX = 20
HELD_MAX = 256
"""Alarms in memory while the disk takes no writes; beyond, those that were sent go, then the oldest
of the least important: one alarm says how many."""
TOLD_SECONDS = 3600.0
"""That alarms are held back is an event once in so long."""
IN_MEMORY = "the node's memory"
UNNOTED_MAX = 1024
"""Sent, and the disk could not be told: with so many nothing more is sent."""
SEND_SECONDS_MAX = 60.0
TURN_SECONDS_MAX = 60.0
"""A channel that takes alarms slowly has others wait no longer than both of these."""


def wait_seconds(attempts: int, chance: float) -> float:
    """How long to wait after so many attempts in vain; `chance` in [0, 1) spreads many nodes."""
    doubled = FIRST_WAIT_SECONDS * 2.0 ** min(attempts - 1, 16)
    return min(doubled, WAIT_SECONDS_MAX) * (0.75 + chance / 2)


@dataclass(frozen=True, slots=True)
class _Pause:
    """A channel is left alone until then (monotonic), after so many attempts: in memory, where the
    disk cannot keep it."""

    attempts: int
    until: float


_NO_PAUSE = _Pause(0, 0.0)


@dataclass(frozen=True, slots=True)
class AlarmStatistics:
    """A snapshot; counts are since start."""

    sounded_count: int
    sent_count: int
    failed_count: int
    given_up_count: int
    held_count: int
    held_back_count: int = 0


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
        self._held: dict[str, Alarm] = {}
        self._folded: HeldBack | None = None
        self._held_back = 0
        self._told_at = -TOLD_SECONDS
        self._unnoted: dict[tuple[str, str], None] = {}
        self._pauses: dict[str, _Pause] = {}
        self._turn = asyncio.Lock()
        self._sounded = self._sent = self._failed = self._given_up = 0
        self._troubled: set[str] = set()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Those that are configured."""
        return tuple(self._channels.values())

    def statistics(self) -> AlarmStatistics:
        """A snapshot."""
        return AlarmStatistics(
            self._sounded, self._sent, self._failed, self._given_up, len(self._held),
            self._held_back,
        )  # fmt: skip

    async def sound(self, alarm: Alarm) -> None:
        """See `Alarms`."""
        self._sounded += 1
        try:
            added = await self._outbox.add(alarm, tuple(self._channels))
        except AlarmsUnusable as error:
            self._held[alarm.key] = alarm
            while len(self._held) > HELD_MAX:
                self._fold()
            self._tell("alarm.not_kept", alarm.kind, error.what, error.next_step)
        else:
            self._count_held_back(added.held_back)

    def _fold(self) -> None:
        """Makes room in memory: of what was sent already, else by one more that is held back."""
        own = self._folded.alarm(0.0).key if self._folded else ""
        others = [each for each in self._held.values() if each.key != own]
        if done := next((each for each in others if self._is_sent(each)), None):
            del self._held[done.key]
            return
        least = min(others, key=lambda each: IMPORTANCE.index(each.level))
        del self._held[least.key]
        self._held.pop(own, None)
        now = self._clock.now()
        began = self._folded or HeldBack(IN_MEMORY, now, f"{self._chance.getrandbits(32):08x}")
        self._folded = began.with_one(least.level)
        told = self._folded.alarm(now)
        self._held[told.key] = told
        self._count_held_back(1)

    def _is_sent(self, alarm: Alarm) -> bool:
        return all((alarm.key, name) in self._unnoted for name in self._channels)

    def _count_held_back(self, count: int) -> None:
        self._held_back += count
        if count and self._clock.monotonic() - self._told_at >= TOLD_SECONDS:
            self._told_at = self._clock.monotonic()
            what = "too many alarms wait to be sent: the oldest of the least important are summed"
            self._tell(HELD_BACK, "alarms", what, "check the channels: skerry alarms test")

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Sends what is due. A disk that takes no writes delays nothing: what it ought to know is
        told to it later."""
        async with self._turn:
            await self._catch_up()
            by_channel: dict[str, list[Due]] = {}
            for each in self._due():
                by_channel.setdefault(each.channel, []).append(each)
            await asyncio.gather(*(self._empty(name, each) for name, each in by_channel.items()))

    async def _catch_up(self) -> None:
        """Has the disk know what it could not be told before."""
        try:
            while self._held:
                alarm = next(iter(self._held.values()))
                added = await self._outbox.add(alarm, tuple(self._channels))
                self._held.pop(alarm.key, None)
                self._count_held_back(added.held_back)
            self._folded = None
            while self._unnoted:
                key, channel = next(iter(self._unnoted))
                await self._outbox.sent(key, channel)
                del self._unnoted[key, channel]
            dropped = await self._outbox.drop(self._clock.now() - GIVEN_UP_SECONDS)
        except AlarmsUnusable:
            return  # told when it was sounded
        if dropped:
            self._given_up += dropped
            what = f"{dropped} could not be sent for a week"
            self._tell("alarm.given_up", "alarms", what, "check the channels: skerry alarms test")

    def _due(self) -> list[Due]:
        """What is to be tried now, from the disk and from memory."""
        if len(self._unnoted) >= UNNOTED_MAX:
            return []
        try:
            kept = self._outbox.due(self._clock.now(), AT_ONCE_MAX + len(self._unnoted))
        except AlarmsUnusable:
            kept = ()
        held = [Due(alarm, name, 0) for alarm in self._held.values() for name in self._channels]
        now = self._clock.monotonic()
        return [
            each
            for each in (*kept, *held)
            if (each.alarm.key, each.channel) not in self._unnoted
            and self._pauses.get(each.channel, _NO_PAUSE).until <= now
        ]

    async def _empty(self, name: str, due: Sequence[Due]) -> None:
        """One channel's, in their order; after one in vain the others of it wait, too. It takes no
        longer than a bounded time: the other channels wait for the next turn with it."""
        channel, ends = self._channels.get(name), self._clock.monotonic() + TURN_SECONDS_MAX
        for each in due:
            if channel is None or not await self._try(channel, each):
                break
            if self._clock.monotonic() >= ends:
                break

    async def _try(self, channel: Channel, due: Due) -> bool:
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await channel.send(due.alarm)
        except ChannelFailed as error:
            await self._in_vain(channel, due, error.what, error.next_step)
            return False
        except TimeoutError:
            what = f"{channel.name} took longer than {SEND_SECONDS_MAX:.0f} s"
            await self._in_vain(channel, due, what, "")
            return False
        except Exception as error:  # a fault of ours with one alarm must not silence all others
            what = f"{channel.name} cannot be told of {due.alarm.kind}: {type(error).__name__}"
            await self._in_vain(channel, due, what, "please report it")
            return False
        self._sent += 1
        self._pauses.pop(channel.name, None)
        # From here on it is not sent again, whether the disk can be told so now or only later.
        self._unnoted[due.alarm.key, channel.name] = None
        if due.alarm.key not in self._held:
            with suppress(AlarmsUnusable):
                await self._outbox.sent(due.alarm.key, channel.name)
                del self._unnoted[due.alarm.key, channel.name]
        if channel.name in self._troubled:
            self._troubled.discard(channel.name)
            self._events.emit("alarm.channel_works", channel.name, cause="it takes alarms again")
        return True

    async def _in_vain(self, channel: Channel, due: Due, what: str, next_step: str) -> None:
        self._failed += 1
        pause = self._pauses.get(channel.name, _NO_PAUSE)
        attempts = max(due.attempts, pause.attempts) + 1
        wait = wait_seconds(attempts, self._chance.random())
        key, again_at = due.alarm.key, self._clock.now() + wait
        try:
            if key in self._held:
                raise AlarmsUnusable("it is in memory alone")
            await self._outbox.failed(key, channel.name, again_at=again_at)
        except AlarmsUnusable:
            self._pauses[channel.name] = _Pause(attempts, self._clock.monotonic() + wait)
        if channel.name not in self._troubled:
            self._troubled.add(channel.name)
            self._tell("alarm.channel_failed", channel.name, what, next_step)

    def _tell(self, kind: str, subject: str, cause: str, next_step: str) -> None:
        step = next_step or "it is tried again by itself"
        self._events.emit(kind, subject, cause=cause, next_step=step, level=Level.WARNING)
