"""What somebody has to be told though nobody is looking: the one channel of a node for alarms.

Owns the value and the ports. Whoever has an alarm sounds it and goes on; it is kept on the disk and
sent by what the operator has configured (webhook, e-mail), through an outage, and never twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from skerry.base.errors import Party, SkerryError
from skerry.telemetry.events import Event, Level

DAY_SECONDS = 86400
WAITING_MAX = 500
"""Alarms that wait for one channel; beyond, the oldest of the least important are held back."""
HELD_BACK = "alarm.held_back"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm.

    Attributes:
        key: what makes two alarms the same: it is sent once, whoever sounds it and how often.
        kind: dotted and bounded, as of an event.
        subject: what it is about, for people. Never a secret.
        what: one sentence that says what is the matter.
        next_step: what to do; "" when nothing.
        at: seconds since the epoch.
    """

    key: str
    kind: str
    subject: str
    level: Level
    what: str
    next_step: str
    at: float

    @property
    def token(self) -> str:
        """The key as receivers see it: the same at every attempt, and nothing of what it says."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:32]


class Alarms(Protocol):
    """Where alarms go."""

    async def sound(self, alarm: Alarm) -> None:
        """Takes an alarm: on the disk when this returns. One whose key was sounded before is
        dropped. Never raises: a disk that takes no writes has it kept in memory."""


class Silence:
    """Takes alarms and tells nobody."""

    async def sound(self, alarm: Alarm) -> None:
        """See `Alarms`."""


class ChannelFailed(SkerryError):
    """An alarm could not be sent now."""

    party = Party.OPERATOR


class AlarmsUnusable(SkerryError):
    """The outbox of alarms cannot be opened, read or written."""

    party = Party.OPERATOR


class Channel(Protocol):
    """One way to tell somebody."""

    @property
    def name(self) -> str:
        """What the settings call it; attempts are kept under it."""

    async def send(self, alarm: Alarm) -> None:
        """Returns once the other side has taken it. Raises ChannelFailed.

        The same alarm may come again when it is not known whether it was taken: receivers tell
        by its token.
        """


@dataclass(frozen=True, slots=True)
class Due:
    """An alarm that is to be sent to a channel, after so many attempts in vain."""

    alarm: Alarm
    channel: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an alarm has come: `sent` to these channels, `waiting` for those, `held_back` from
    the others."""

    alarm: Alarm
    sent: tuple[str, ...]
    waiting: tuple[str, ...]
    held_back: tuple[str, ...] = ()


IMPORTANCE = (Level.INFO, Level.WARNING, Level.ERROR)
"""The least first."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """So many alarms that are not sent one by one, since then; one alarm says so.

    Attributes:
        place: the channel, or where else they waited.
        nonce: tells this sum from another one that began in the same second.
    """

    place: str
    since: float
    nonce: str
    level: Level = Level.INFO
    count: int = 0

    def with_one(self, level: Level) -> HeldBack:
        """One more; the sum is as grave as the gravest of it."""
        graver = max(self.level, level, key=IMPORTANCE.index)
        return replace(self, count=self.count + 1, level=graver)

    def alarm(self, at: float) -> Alarm:
        """What is sent in their place. Another count is another alarm: whoever was told of five
        is told of six."""
        began = f"{datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M:%S} UTC"
        many = "1 alarm was" if self.count == 1 else f"{self.count} alarms were"
        return Alarm(
            key=f"{HELD_BACK}/{self.place}/{self.nonce}/{self.since!r}/{self.count}",
            kind=HELD_BACK,
            subject=self.place,
            level=self.level,
            what=f"{many} held back since {began}: too many waited to be sent",
            next_step="skerry events tells what happened; skerry alarms ls names the latest",
            at=at,
        )

    @classmethod
    def of(cls, alarm: Alarm) -> HeldBack | None:
        """What an alarm of `alarm` stands for; None for another one, or one that was changed."""
        try:
            place, nonce, since, count = alarm.key.removeprefix(f"{HELD_BACK}/").rsplit("/", 3)
            return cls(place, float(since), nonce, alarm.level, int(count))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Added:
    """What became of an alarm that was added: whether it is `new`, and how many were held back
    for it, over all channels."""

    new: bool
    held_back: int = 0


class Outbox(Protocol):
    """What is to be sent, and what was. Survives the process, and the loss of power."""

    async def add(self, alarm: Alarm, channels: Sequence[str]) -> Added:
        """Takes one. Where more than `WAITING_MAX` wait for a channel then, the oldest of the
        least important are held back from it, and one alarm says how many. Raises
        AlarmsUnusable."""

    def due(self, now: float, count_max: int) -> Sequence[Due]:
        """What is to be sent now, the oldest first."""

    async def sent(self, key: str, channel: str) -> None: ...

    async def failed(self, key: str, channel: str, *, again_at: float) -> None:
        """One more attempt in vain."""

    async def drop(self, before: float) -> int:
        """Gives up what was sounded before and could not be sent; forgets what was sent long ago.
        Returns how many were given up."""

    def recent(self, count_max: int) -> Sequence[Standing]:
        """The latest first."""


def of_events(
    alarms: Alarms,
    kinds: frozenset[str],
    start: Callable[[Coroutine[object, object, None]], object],
) -> Callable[[Event], None]:
    """What makes alarms of these kinds of events: one for each subject and day."""

    def listen(event: Event) -> None:
        if event.kind in kinds:
            start(
                alarms.sound(
                    Alarm(
                        key=f"{event.kind}/{event.subject}/{int(event.at) // DAY_SECONDS}",
                        kind=event.kind,
                        subject=event.subject,
                        level=event.level,
                        what=event.cause or event.kind,
                        next_step=event.next_step,
                        at=event.at,
                    )
                )
            )

    return listen
