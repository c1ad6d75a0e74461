"""What telemetry needs kept: events, incidents, signs of life.

Owns the Protocols and their error. Never knows a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from skerry.base.errors import Party, SkerryError
from skerry.telemetry.core.incidents import Incident
from skerry.telemetry.events import Event


class TelemetryUnusable(SkerryError):
    """The record of events cannot be opened or written."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class Beat:
    """The last sign of life. `ended` says whether that life came to its end as it should."""

    at: float
    ended: bool


@dataclass(frozen=True, slots=True)
class BookStatistics:
    """A snapshot. `refused_count`: events that were never written down; `waiting_count`: those that
    will be, once the disk takes them."""

    event_count: int
    incident_count: int
    used_bytes: int
    refused_count: int
    waiting_count: int = 0


class EventBook(Protocol):
    """Keeps events, bounded by age and size; the oldest go."""

    def keep(self, event: Event) -> None:
        """Writes it down within a moment, or when the disk takes writes again: then in order, and
        of too many one event says how many were not kept. Never waits, never raises."""

    def history(self, *, since: float, until: float, kind: str, count_max: int) -> list[Event]:
        """The newest events of a time, oldest first; `kind` is whole or its first words, "" any.

        Raises TelemetryUnusable.
        """


class IncidentBook(Protocol):
    """Keeps incidents."""

    async def put(self, incident: Incident) -> Incident:
        """Writes a new or a changed one; returns it with its number. Raises TelemetryUnusable."""

    def incidents(self, *, since: float = 0.0, count_max: int = 1000) -> Sequence[Incident]:
        """The newest that began since then, oldest first, open ones whenever they began."""


class LifeBook(Protocol):
    """Keeps the last sign of life."""

    def last_beat(self) -> Beat | None:
        """Of the life before; None at the first start."""

    async def beat(self, beat: Beat) -> None:
        """Notes one. Raises TelemetryUnusable."""


class Place(StrEnum):
    """Where a bundle is put."""

    FILED = "filed"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class Kept:
    """A bundle on record. `events_until` is the number of the last event that it covers."""

    line: bytes
    events_until: int
    filed: int
    sent: int


class BundleBook(Protocol):
    """Keeps bundles, bounded in number; the oldest go."""

    def last(self) -> Kept | None: ...

    def events_after(self, number: int, *, count_max: int) -> tuple[list[Event], int]:
        """The oldest events after one, and the number of the last of them."""

    def newest_event(self) -> int:
        """Its number, 0 when there is none."""

    async def add(self, sequence: int, line: bytes, events_until: int) -> None:
        """Keeps the next one, durably. Raises TelemetryUnusable."""

    def lines(self, after: int, *, count_max: int) -> list[bytes]:
        """Those after a number, oldest first."""

    def waiting(self, place: Place, *, count_max: int) -> list[tuple[int, bytes]]:
        """Those that were not put somewhere yet, oldest first."""

    async def put(self, place: Place, sequence: int) -> None:
        """Notes that one was put there."""

    def count(self, place: Place | None = None) -> int:
        """How many there are; with a place, how many wait for it."""
