"""What the edge counts.

Owns the metric families. Sensitive series carry no name of anything (requirements S2): the labels
are the data class, the outcome and bounded reasons.
"""

from __future__ import annotations

from enum import StrEnum

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


class EdgeMeters:
    """The edge's counters."""

    def __init__(self, metrics: Registry) -> None:
        self._requests = metrics.counter(
            "skerry_edge_requests", "Requests by class and outcome.", ["class", "outcome"]
        )
        self._bytes = metrics.counter(
            "skerry_edge_answer_bytes", "Announced body bytes.", ["class", "outcome"]
        )
        self._refused = metrics.counter(
            "skerry_edge_refused", "Requests refused at the door.", ["reason"]
        )
        self._seconds = metrics.histogram(
            "skerry_edge_seconds", "Time to the first byte of an answer.", ["outcome"]
        )

    def answered(self, data_class: str, outcome: Served, size_bytes: int, seconds: float) -> None:
        """Counts one answer."""
        self._requests.add(1, data_class, outcome)
        self._bytes.add(size_bytes, data_class, outcome)
        self._seconds.observe(seconds, outcome)

    def fast(self, data_class: str) -> HotUses:
        """Counts hits of the fast way, which is not timed."""

        def counted(uses: int, body_bytes: int) -> None:
            self._requests.add(uses, data_class, Served.HIT)
            self._bytes.add(body_bytes, data_class, Served.HIT)

        return counted

    def refused(self, reason: str) -> None:
        """Counts a refusal by its bounded reason."""
        self._refused.add(1, reason)
