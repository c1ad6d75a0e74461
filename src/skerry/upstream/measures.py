"""What the client counts.

Owns the metric families of `upstream`, declared once per node and shared by all its clients.
Labels are configured names and closed vocabularies, never a path or a host from the network.
"""

from __future__ import annotations

from collections.abc import Callable

from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures


class UpstreamMetrics:
    """The families; hand one to every `UpstreamClient` of a node.

    `failures` is the node's count of what was not believed, told by `Refusals`.
    """

    def __init__(self, registry: Registry, failures: ValidationFailures) -> None:
        self.failures = failures
        names = ("upstream", "source")
        self.requests = registry.counter(
            "skerry_upstream_requests",
            "Requests to sources by outcome: ok, absent, denied or the trouble.",
            (*names, "outcome"),
        )
        self.token_requests = registry.counter(
            "skerry_upstream_token_requests",
            "Requests to token services by outcome, apart from the sources themselves.",
            (*names, "outcome"),
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
        self._refusing: dict[tuple[str, ...], Callable[[], bool]] = {}
        registry.gauge(
            "skerry_upstream_source_left_alone",
            "1 from a breaker's opening or a rate limit until the source has answered again.",
            lambda: {key: float(read()) for key, read in self._refusing.items()},
            names,
        )

    def watch(self, upstream: str, source: str, left_alone: Callable[[], bool]) -> None:
        """Has the gauge read one more source."""
        self._refusing[(upstream, source)] = left_alone
