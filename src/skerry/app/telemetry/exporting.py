"""When a node sends its metrics and traces to a collector.

Owns the settings' part of it: the export itself is loaded where one is named, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from skerry.upstream.ports import Dial, Transport

if TYPE_CHECKING:
    from skerry.app.site import Site


def export(node: Site, transport: Transport) -> None:
    """Begins to send metrics and traces, where the settings name a collector."""
    settings = node.settings.telemetry.otlp
    if not settings.url:
        return
    from skerry.app.telemetry.otlp_export import Collector, OtlpExport, token_of

    dial = Dial(
        connect_seconds=settings.connect_seconds,
        first_byte_seconds=settings.first_byte_seconds,
        ca_file=settings.ca_file or None,
        connections_max=1,
        private_hosts=frozenset({urlsplit(settings.url).hostname or ""}),
    )
    exporting = OtlpExport(
        Collector(settings.url, dial, lambda: token_of(settings.token_file)),
        node=node.settings.node.name,
        metrics=node.metrics if settings.metrics else None,
        tracer=node.following.tracer,
        transport=transport,
        clock=node.clock,
        events=node.events,
        every_seconds=settings.every_seconds,
    )
    node.nursery.start(exporting.run(), name="otlp")
