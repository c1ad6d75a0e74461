"""What the client counts.

Owns the metric families of `upstream`, declared once per node and shared by all its clients.
Labels are configured names and closed vocabularies, never a path or a host from the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from skerry.telemetry.labels import Named
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.core.breaker import State
from skerry.upstream.ports import Trouble

AUTHORITIES = Named("upstreams and sites of the settings")


class SourceState(Protocol):
    """What the gauges read of one source: `gate.SourceStatistics`."""

    @property
    def breaker(self) -> str: ...
    @property
    def left_alone(self) -> bool: ...
    @property
    def requests_left(self) -> int | None: ...
    @property
    def remaining(self) -> int | None: ...
    @property
    def in_flight(self) -> int: ...


Watched = Callable[[], SourceState]


class UpstreamMetrics:
    """The families; hand one to every `UpstreamClient` of a node.

    `failures` is the node's count of what was not believed, told by `Refusals`.
    """

    def __init__(self, registry: Registry, failures: ValidationFailures) -> None:
        self.failures = failures
        names = {
            "upstream": AUTHORITIES,
            "source": Named("sources, siblings and origins of the settings"),
        }
        outcomes = ("ok", "absent", *(trouble.value for trouble in Trouble))
        self.requests = registry.counter(
            "skerry_upstream_requests",
            "Requests to sources by outcome: ok, absent, denied or the trouble.",
            {**names, "outcome": outcomes},
        )
        self.token_requests = registry.counter(
            "skerry_upstream_token_requests",
            "Requests to token services by outcome, apart from the sources themselves.",
            {**names, "outcome": outcomes},
        )
        self.bytes = registry.counter(
            "skerry_upstream_received_bytes", "Body bytes read from sources.", names
        )
        self.openings = registry.counter(
            "skerry_upstream_breaker_openings", "How often a breaker opened.", names
        )
        self.first_byte = registry.histogram(
            "skerry_upstream_first_byte_seconds",
            "From the decision to send until the head of a usable answer.",
            names,
        )
        self._watched: dict[tuple[str, ...], Watched] = {}
        registry.gauge(
            "skerry_upstream_source_left_alone",
            "1 from a breaker's opening or a rate limit until the source has answered again.",
            lambda: {key: float(each.left_alone) for key, each in self._now().items()},
            names,
        )
        registry.gauge(
            "skerry_upstream_breaker_state",
            "1 for the state the breaker of a source is in.",
            lambda: {
                (*key, state.value): float(each.breaker == state)
                for key, each in self._now().items()
                for state in State
            },
            {**names, "state": State},
        )
        registry.gauge(
            "skerry_upstream_requests_left",
            "Requests left of a limit: our own for this minute, or what the source last said.",
            self._requests_left,
            {**names, "limit": ("own", "source")},
        )
        registry.gauge(
            "skerry_upstream_requests_in_flight",
            "Requests to a source whose body is not at its end.",
            lambda: {key: each.in_flight for key, each in self._now().items()},
            names,
        )

    def watch(self, upstream: str, source: str, read: Callable[[], SourceState]) -> None:
        """Has the gauges read one more source."""
        self._watched[(upstream, source)] = read

    def _now(self) -> dict[tuple[str, ...], SourceState]:
        return {key: read() for key, read in self._watched.items()}

    def _requests_left(self) -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {}
        for key, each in self._now().items():
            for limit, left in (("own", each.requests_left), ("source", each.remaining)):
                if left is not None:
                    found[(*key, limit)] = left
        return found


class FillMetrics:
    """The families of `Fills`."""

    def __init__(self, registry: Registry) -> None:
        self.received = registry.counter(
            "skerry_fill_received_bytes",
            "Bytes fetched for missing contents",
            {"source": Named("sources, siblings and tiers of the settings")},
        )
        self.ended = registry.counter(
            "skerry_fills_ended",
            "Fills that came to an end",
            {"authority": AUTHORITIES, "outcome": ("stored", "passed", "failed")},
        )
