"""What a door says of itself, and what all doors of a node expose.

Owns the numbers' shapes and their families. Counts nothing by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from skerry.adapters.http_hot import HotStatistics
from skerry.adapters.http_server_strict import Reason
from skerry.telemetry.labels import Labels
from skerry.telemetry.metrics import Registry

DOOR = {"door": ("registry", "edge", "edge_tls", "admin")}


@dataclass(frozen=True, slots=True)
class DoorStatistics:
    """A snapshot.

    Attributes:
        running: requests on the full way now, queued ones not counted.
        sending: bodies on their way out now.
        tunnels: connections that speak another protocol now.
        full, hot: requests answered on each way since start.
        failed: handlers that broke (500).
        refused: requests refused unread (limits, syntax, no connection to spare).
        refused_for: those by their reason.
        aborted: bodies that broke, their connections reset.
        left: clients that left before their answer's end.
        sent_bytes: body bytes of the full way.
    """

    name: str
    connections: int
    running: int
    sending: int
    tunnels: int
    full: int
    failed: int
    refused: int
    refused_for: Mapping[str, int]
    aborted: int
    left: int
    sent_bytes: int
    hot: HotStatistics


class Counted(Protocol):
    """A door of this process, or what a worker tells of its own."""

    @property
    def name(self) -> str: ...

    def statistics(self) -> DoorStatistics: ...

    def settle(self) -> None:
        """Moves what was not told yet into the metrics."""


class DoorMetrics:
    """What all doors of a node expose; made once, each door adds itself when it opens.

    Doors of one name are summed: a node with workers has one of each in every process.
    """

    def __init__(self, registry: Registry) -> None:
        self._doors: list[Counted] = []
        registry.before_exposing(self._settle)
        registry.gauge("skerry_http_connections", "Open client connections", self._connections,
                       DOOR)  # fmt: skip
        registry.gauge("skerry_http_tunnels", "Connections that speak another protocol",
                       self._tunnels, DOOR)  # fmt: skip
        registry.gauge("skerry_http_sending", "Bodies on their way to clients", self._sending,
                       DOOR)  # fmt: skip
        self._requests = registry.counter(
            "skerry_http_requests",
            "Requests, by the way they took",
            {**DOOR, "way": ("full", "hot")},
        )
        self._refused = registry.counter(
            "skerry_http_refused", "Requests refused unread, by reason", {**DOOR, "reason": Reason}
        )
        self._body_bytes = registry.counter(
            "skerry_http_body_bytes", "Body bytes sent on the full way", DOOR
        )

    def add(self, door: Counted) -> None:
        """Includes a door in the gauges."""
        self._doors.append(door)

    def remove(self, door: Counted) -> None:
        """Leaves a door out from now on; what was counted stays."""
        self._doors.remove(door)

    def _settle(self) -> None:
        for door in self._doors:
            door.settle()

    def count(self, now: DoorStatistics, before: DoorStatistics | None) -> None:
        """Moves what a door has done since into the counters: it counts nothing per request."""
        name = now.name
        self._requests.add(now.full - (before.full if before else 0), name, "full")
        self._requests.add(now.hot.hits - (before.hot.hits if before else 0), name, "hot")
        self._body_bytes.add(now.sent_bytes - (before.sent_bytes if before else 0), name)
        known = before.refused_for if before else {}
        for reason, count in now.refused_for.items():
            self._refused.add(count - known.get(reason, 0), name, reason)

    def _tunnels(self) -> dict[Labels, float]:
        return self._summed(lambda statistics: statistics.tunnels)

    def _connections(self) -> dict[Labels, float]:
        return self._summed(lambda statistics: statistics.connections)

    def _sending(self) -> dict[Labels, float]:
        return self._summed(lambda statistics: statistics.sending)

    def _summed(self, read: Callable[[DoorStatistics], int]) -> dict[Labels, float]:
        sums: Counter[str] = Counter()
        for door in self._doors:
            sums[door.name] += read(door.statistics())
        return {(name,): count for name, count in sums.items()}
