"""Incidents: what was lost, when that was noticed, when service here was good again.

Owns the record, the objectives of recovery and the shares that are counted against them
(requirements S0): not how long something far away was gone, but how soon this node served well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Lost(StrEnum):
    """What kind of thing an incident is about. Bounded: a metric label."""

    UPSTREAM = "upstream"
    SITE = "site"
    NODE = "node"
    DISK = "disk"
    RELEASE = "release"


class Origin(StrEnum):
    """Whether it happened, or was made happen. Bounded: a metric label."""

    REAL = "real"
    DRILL = "drill"


class Measure(StrEnum):
    """What an objective bounds. Bounded: a metric label."""

    INTERRUPTED = "interrupted"
    LOCAL_SERVICE = "local_service"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident. Times are in seconds since the epoch.

    Attributes:
        number: given by the book it is kept in, 0 before.
        what: its name, from the settings: an upstream, a site, the node.
        began_at: of what was lost, as far as it is known.
        noticed_at: when this node knew.
        good_at: when service here was good (again); None while it is not.
        back_at: when what was lost was back; None while it is not.
        interrupted_seconds: how long service here was not good, all in all.
        cause: for people.
    """

    lost: Lost
    what: str
    began_at: float
    noticed_at: float
    good_at: float | None = None
    back_at: float | None = None
    interrupted_seconds: float = 0.0
    origin: Origin = Origin.REAL
    cause: str = ""
    number: int = 0

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.back_at is None

    def seconds(self, measure: Measure) -> float | None:
        """What an objective of this measure looks at; None when there is nothing to look at yet.

        A release that was taken back is lost from the wish to go back on: its recovery is the
        time to rollback.
        """
        if (measure is Measure.ROLLBACK) != (self.lost is Lost.RELEASE):
            return None
        if measure is Measure.INTERRUPTED:
            return None if self.good_at is None else self.interrupted_seconds
        return None if self.good_at is None else max(0.0, self.good_at - self.began_at)


def begun(incident: Incident, *, good: bool) -> Incident:
    """An incident as it is noticed: where nobody was let down, service was good all along."""
    return replace(incident, good_at=incident.began_at) if good else incident


def sampled(incident: Incident, *, good: bool, at: float, passed_seconds: float) -> Incident:
    """After one more look at the service here; so many seconds since the look before."""
    if not good:
        return replace(
            incident, interrupted_seconds=incident.interrupted_seconds + max(0.0, passed_seconds)
        )
    return incident if incident.good_at is not None else replace(incident, good_at=at)


@dataclass(frozen=True, slots=True)
class Objective:
    """So large a share of the incidents of a kind is to be over within so long."""

    lost: Lost
    measure: Measure
    within_seconds: float
    share: float = 0.95


@dataclass(frozen=True, slots=True)
class Indicator:
    """How an objective is met. `share` is None where nothing of the kind has happened."""

    lost: Lost
    measure: Measure
    origin: Origin
    within_seconds: float
    wanted_share: float
    incident_count: int
    kept_count: int
    worst_seconds: float

    @property
    def share(self) -> float | None:
        return self.kept_count / self.incident_count if self.incident_count else None

    @property
    def met(self) -> bool:
        """Nothing that happened speaks against it."""
        return self.share is None or self.share >= self.wanted_share


def indicators(
    incidents: Iterable[Incident], objectives: Sequence[Objective]
) -> tuple[Indicator, ...]:
    """How each objective is met by real incidents, and by drills."""
    known = tuple(incidents)
    found = []
    for objective in objectives:
        for origin in Origin:
            times = [
                seconds
                for each in known
                if each.lost is objective.lost and each.origin is origin
                if (seconds := each.seconds(objective.measure)) is not None
            ]
            kept = sum(seconds <= objective.within_seconds for seconds in times)
            found.append(
                Indicator(
                    objective.lost,
                    objective.measure,
                    origin,
                    objective.within_seconds,
                    objective.share,
                    len(times),
                    kept,
                    max(times, default=0.0),
                )
            )
    return tuple(found)
