"""What is told of the requests of a node: to its log, and to a collector.

Owns what of it there is, by the settings: nothing of it costs a request anything where it is off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skerry.app.settings.schema import Settings
from skerry.app.telemetry.accounted import Accounted
from skerry.telemetry.request_log import RequestLog
from skerry.telemetry.tracer import Tracer
from skerry.upstream.ports import Transport
from skerry.wire.message import Handler

if TYPE_CHECKING:
    from random import Random

    from skerry.base.clock import Clock


class Following:
    """The log of requests and the tracer of one node; None for what is off."""

    def __init__(self, settings: Settings, *, clock: Clock, chance: Random) -> None:
        log, otlp = settings.log, settings.telemetry.otlp
        self._monotonic: Callable[[], float] = clock.monotonic
        self.log: RequestLog | None = None
        if log.requests or log.fast_share:
            self.log = RequestLog(monotonic=clock.monotonic, fast_share=log.fast_share)
        self.tracer: Tracer | None = None
        if otlp.url and otlp.traces:
            self.tracer = Tracer(share=otlp.traces_share, chance=chance, now=clock.now)

    def told(self, front: Handler, door: str) -> Handler:
        """The front of a door, whose requests are told of."""
        if self.log is None and self.tracer is None:
            return front
        return Accounted(
            front, door=door, monotonic=self._monotonic, log=self.log, tracer=self.tracer
        )

    def outside(self, transport: Transport) -> Transport:
        """The way out, followed."""
        if self.tracer is None:
            return transport
        from skerry.app.telemetry.traced_transport import TracedTransport

        return TracedTransport(transport, self.tracer)
