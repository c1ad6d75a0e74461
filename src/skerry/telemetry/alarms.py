"""What somebody has to be told though nobody is looking: the one channel of a node for alarms.

Owns the value and the port. Whoever has an alarm sounds it and goes on; it is kept on the disk and
sent by what the operator has configured (webhook, e-mail), through an outage, and never twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from skerry.telemetry.events import Level


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


class Alarms(Protocol):
    """Where alarms go."""

    def sound(self, alarm: Alarm) -> None:
        """Takes an alarm, at once. One whose key was sounded before is dropped."""


class Silence:
    """Takes alarms and tells nobody: for a node that nobody is to be told of."""

    def sound(self, alarm: Alarm) -> None:
        """See `Alarms`."""
