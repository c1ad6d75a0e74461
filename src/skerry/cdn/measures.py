"""What the edge counts.

Owns the metric families. Sensitive series carry no name of anything and are shown in groups
(requirements S2): the labels are the data class, the outcome and bounded reasons.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from skerry.cdn.admission import REASONS
from skerry.cdn.ports import DataClass
from skerry.telemetry.grouped import Group, Grouped
from skerry.telemetry.metrics import Registry
from skerry.wire.message import HotUses


class Served(StrEnum):
    """How a request was answered. Bounded: a metric label."""

    HIT = "hit"
    STALE = "stale"
    REVALIDATED = "revalidated"
    MISS = "miss"
    NEARER = "nearer"
    COLLAPSED = "collapsed"
    PASS = "pass"
    WRITTEN = "written"
    REFUSED = "refused"
    FAILED = "failed"


LATE_SECONDS = 2.0
"""Nobody should wait so long for what is stored."""
LABELS = {"class": DataClass, "outcome": Served}
_HERE = {Served.HIT, Served.STALE, Served.REFUSED}


@dataclass(frozen=True, slots=True)
class EdgeTraffic:
    """A snapshot, exact for every class and never shown to others than the operator.

    Attributes:
        requests, body_bytes: by (class, outcome), since start.
    """

    requests: dict[tuple[str, str], int]
    body_bytes: dict[tuple[str, str], int]


class EdgeMeters:
    """The edge's counters."""

    def __init__(self, metrics: Registry) -> None:
        self._requests = metrics.counter(
            "skerry_edge_requests", "Requests by class and outcome.", LABELS
        )
        self._bytes = metrics.counter("skerry_edge_answer_bytes", "Body bytes that left.", LABELS)
        self._refused = metrics.counter(
            "skerry_edge_refused", "Requests refused at the door.", {"reason": REASONS}
        )
        self._seconds = metrics.histogram(
            "skerry_edge_seconds", "Time to the first byte of an answer.", {"outcome": Served}
        )
        self._requests.begin(tuple(DataClass), tuple(Served))
        self._late = self._outward = 0
        self._exact: Counter[tuple[str, str]] = Counter()
        self._exact_bytes: Counter[tuple[str, str]] = Counter()
        self.grouped = Grouped(self._show, group_min=metrics.group_min)

    def answered(
        self,
        data_class: DataClass,
        outcome: Served,
        size_bytes: int,
        seconds: float,
        *,
        trace_id: str = "",
    ) -> None:
        """Counts one answer; `trace_id` where a trace of it is kept, for public ones alone. Its
        bytes are counted by `sent` as they leave, but for those that are known: `size_bytes`."""
        key = _key(data_class, outcome)
        self._count(key, 1, size_bytes)
        self._late += outcome in (Served.HIT, Served.STALE) and seconds > LATE_SECONDS
        self._outward += outcome not in _HERE
        if data_class is not DataClass.PUBLIC and outcome is not Served.REFUSED:
            self.grouped.count(key, requests=1, body_bytes=size_bytes, seconds=(seconds,))
            return
        self._requests.add(1, *key)
        self._bytes.add(size_bytes, *key)
        self._seconds.observe(seconds, outcome, trace_id=trace_id)

    def sent(self, data_class: DataClass, outcome: Served, body_bytes: int) -> None:
        """So many bytes more of an answer of the full way have left."""
        key = _key(data_class, outcome)
        self._exact_bytes[key] += body_bytes
        if data_class is not DataClass.PUBLIC and outcome is not Served.REFUSED:
            self.grouped.count(key, requests=0, body_bytes=body_bytes)
        else:
            self._bytes.add(body_bytes, *key)

    def fast(self, data_class: DataClass) -> HotUses:
        """Counts hits of the fast way, which is not timed."""

        key = _key(data_class, Served.HIT)

        def counted(uses: int, body_bytes: int) -> None:
            self._count(key, uses, body_bytes)
            if data_class is not DataClass.PUBLIC:
                self.grouped.count(key, requests=uses, body_bytes=body_bytes)
                return
            self._requests.add(uses, *key)
            self._bytes.add(body_bytes, *key)

        return counted

    def refused(self, reason: str) -> None:
        """Counts a refusal by its bounded reason."""
        self._refused.add(1, reason)

    def late(self) -> int:
        """Answers from what is stored that took longer than they may, since start."""
        return self._late

    def outward(self) -> int:
        """Requests that were not answered from what is here alone, since start."""
        return self._outward

    def statistics(self) -> EdgeTraffic:
        """A snapshot."""
        return EdgeTraffic(dict(self._exact), dict(self._exact_bytes))

    def _count(self, key: tuple[str, str], uses: int, body_bytes: int) -> None:
        self._exact[key] += uses
        self._exact_bytes[key] += body_bytes

    def _show(self, key: tuple[str, ...], group: Group) -> None:
        self._requests.add(group.requests, *key)
        self._bytes.add(group.body_bytes, *key)
        for seconds in group.seconds:
            self._seconds.observe(seconds, key[1])


def _key(data_class: DataClass, outcome: Served) -> tuple[str, str]:
    """The labels; what is not known to be public is sensitive."""
    public = data_class is DataClass.PUBLIC
    return (DataClass.PUBLIC if public else DataClass.SENSITIVE).value, outcome.value
