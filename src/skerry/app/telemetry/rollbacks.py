"""Rollbacks on record: those that happened to tags here, and those of drills.

Owns who hears of a release that is taken back, and what the budget reads of it. The judgement is
`telemetry.releases`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from skerry.aio.tasks import Nursery
from skerry.base.errors import SkerryError
from skerry.budget.core.rollback import Rollback
from skerry.telemetry.core.incidents import Incident, Measure, Origin
from skerry.telemetry.events import Event, Events
from skerry.telemetry.ports import IncidentBook
from skerry.telemetry.releases import Releases


def watch_releases(
    events: Events, nursery: Nursery, record: Callable[[Incident], Awaitable[bool]]
) -> None:
    """Has each rollback recorded from now on; what the lives before told of tags is taken up."""
    releases = Releases()

    async def put(incident: Incident) -> None:
        await record(incident)

    def hear(event: Event) -> None:
        incident = releases.hear(event)
        if incident is not None:
            nursery.start(put(incident), name="incidents.rollback")

    try:
        for event in events.history(0.0, "tag"):
            releases.hear(event)  # each was recorded when it happened
    except SkerryError:
        pass  # the record that cannot be read is told of where it is opened
    events.listen(hear)


def rollbacks_of(book: IncidentBook) -> Callable[[int, int], Sequence[Rollback]]:
    """What reads them of a window, oldest first. Raises TelemetryUnusable."""

    def read(start: int, end: int) -> Sequence[Rollback]:
        found = []
        for each in book.incidents(since=float(start)):
            seconds = each.seconds(Measure.ROLLBACK)
            if seconds is not None and start <= each.began_at < end:
                found.append(Rollback(each.began_at, seconds, each.origin is Origin.DRILL))
        return found

    return read
