"""Releases that were taken back, read from what tags did.

Owns the judgement: a tag that moves to an image that it meant before is a rollback, from the moment
this node learned of it until that image has taken over. Bounded; the oldest tags are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from skerry.telemetry.core.incidents import Incident, Lost
from skerry.telemetry.events import Event

TAGS_MAX = 4096
DIGESTS_MAX = 8
MOVED, TAKEN_OVER = "tag.moved", "tag.taken_over"
ARROW = " -> "


@dataclass(frozen=True, slots=True)
class ReleasesStatistics:
    """A snapshot: tags that have moved, and those that go back now."""

    tag_count: int
    going_back_count: int


class Releases:
    """What tags have left behind, and which of them go back now."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, deque[str]] = OrderedDict()
        self._going_back: dict[str, tuple[str, float]] = {}

    def hear(self, event: Event) -> Incident | None:
        """Takes an event; the rollback that it ends, if it ends one.

        What is private is told of without its digest, so that nothing is known of it here.
        """
        if event.kind == MOVED and ARROW in event.cause:
            self._moved(event)
        elif event.kind == TAKEN_OVER:
            wanted, began_at = self._going_back.pop(event.subject, ("", 0.0))
            if wanted and event.cause.split()[0] == wanted:
                # An upstream's name is of the settings; a repository's may be anything.
                name = event.subject.partition("/")[0]
                return Incident(
                    Lost.RELEASE,
                    name,
                    began_at,
                    began_at,
                    good_at=event.at,
                    back_at=event.at,
                    cause="a tag went back to an image that it meant before",
                )
        return None

    def statistics(self) -> ReleasesStatistics:
        """A snapshot."""
        return ReleasesStatistics(len(self._left), len(self._going_back))

    def _moved(self, event: Event) -> None:
        old, _, rest = event.cause.partition(ARROW)
        new = rest.split()[0] if rest else ""
        if ":" not in old or ":" not in new:
            return
        left = self._left.setdefault(event.subject, deque(maxlen=DIGESTS_MAX))
        self._left.move_to_end(event.subject)
        self._going_back.pop(event.subject, None)
        if new in left:
            self._going_back[event.subject] = (new, event.at)
        if old not in left:
            left.append(old)
        if len(self._left) > TAGS_MAX:
            gone, _ = self._left.popitem(last=False)
            self._going_back.pop(gone, None)
