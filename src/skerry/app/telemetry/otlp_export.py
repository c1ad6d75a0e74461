"""Sends metrics and traces to an OTLP collector, over HTTP with JSON.

Owns when, the waits and what is told when it does not work. Holds nothing but the spans that wait,
which are bounded where they are kept; metrics are read anew each time, so none is lost by waiting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from skerry import __version__
from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.telemetry.core.otlp import (
    Document,
    Exemplar,
    Metric,
    Point,
    Step,
    metrics_document,
    traces_document,
)
from skerry.telemetry.events import Events, Level
from skerry.telemetry.families import Counter, Family, Histogram, Tally
from skerry.telemetry.metrics import Registry
from skerry.telemetry.tracer import Tracer
from skerry.upstream.core.guard import place_of
from skerry.upstream.core.limits import retry_after_seconds
from skerry.upstream.ports import Dial, Transport, TransportError
from skerry.wire.message import Headers

SPANS_AT_ONCE_MAX = 512
BATCHES_MAX = 8
"""Of spans, at one turn."""
RETRY = frozenset({429, 502, 503, 504})
"""OTLP/HTTP, "Failures": these may be sent again, nothing else."""


class NotTaken(SkerryError):
    """The collector does not take what is sent."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Where it is. `url` ends before `/v1/metrics`."""

    url: str
    dial: Dial
    token: Callable[[], str]

    @property
    def called(self) -> str:
        """What people read of it: of some services the path is the password."""
        return place_of(self.url)


@dataclass(frozen=True, slots=True)
class OtlpStatistics:
    """A snapshot, since start. `trouble`: why it does not get on, "" when it does."""

    sent_count: int
    failed_count: int
    lost_spans_count: int
    trouble: str


class OtlpExport:
    """One node's."""

    def __init__(
        self,
        collector: Collector,
        *,
        node: str,
        metrics: Registry | None,
        tracer: Tracer | None,
        transport: Transport,
        clock: Clock,
        events: Events,
        every_seconds: float,
    ) -> None:
        """Without `metrics`, or a `tracer`, those are not sent."""
        self._collector = collector
        self._resource = {"service.name": "skerry", "service.version": __version__,
                          "service.instance.id": node}  # fmt: skip
        self._metrics = metrics
        self._tracer = tracer
        self._transport = transport
        self._clock = clock
        self._events = events
        self._every_seconds = every_seconds
        self._sent = self._failed = self._lost = 0
        self._trouble = ""

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._clock.sleep(self._every_seconds)
            pause = await self.turn()
            if pause:
                await self._clock.sleep(pause)

    async def turn(self) -> float:
        """Sends what there is; how long the collector asked to be left alone."""
        try:
            if self._metrics is not None:
                told = list(metrics_of(self._metrics, self._clock.now()))
                document = metrics_document(self._resource, told, version=__version__)
                if pause := await self._send("/v1/metrics", document):
                    return pause
            return await self._send_spans()
        except SkerryError as error:
            self._fail(error)
            return 0.0

    async def _send_spans(self) -> float:
        if self._tracer is None:
            return 0.0
        for _ in range(BATCHES_MAX):
            spans = self._tracer.take(SPANS_AT_ONCE_MAX)
            if not spans:
                return 0.0
            steps = [
                Step(
                    span.context.trace_id, span.context.span_id, span.parent_id, span.name,
                    int(span.kind), span.began_at, span.ended_at, span.failed, span.attributes,
                )
                for span in spans
            ]  # fmt: skip
            try:
                pause = await self._send(
                    "/v1/traces", traces_document(self._resource, steps, version=__version__)
                )
            except SkerryError:
                self._lost += len(spans)  # kept longer they would only push out newer ones
                raise
            if pause:
                self._lost += len(spans)
                return pause
        return 0.0

    async def _send(self, path: str, document: Document) -> float:
        """Raises NotTaken."""
        collector = self._collector
        body = json.dumps(document, separators=(",", ":")).encode()
        fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if token := collector.token():
            fields.append(("Authorization", f"Bearer {token}"))
        url = collector.url.rstrip("/") + path
        try:
            exchange = await self._transport.send(
                "POST", url, Headers(fields), collector.dial, body
            )
        except TransportError as error:
            raise NotTaken(error.what) from error
        await exchange.close()
        if exchange.status in RETRY:
            self._fail(NotTaken(f"answered {exchange.status}"))
            wanted = retry_after_seconds(exchange.headers, self._clock.now())
            return self._every_seconds if wanted is None else wanted
        if not 200 <= exchange.status < 300:
            step = "check the address and the token of telemetry.otlp"
            raise NotTaken(f"answered {exchange.status}", next_step=step)
        self._sent += 1
        if self._trouble:
            self._trouble = ""
            self._events.emit("otlp.sent", collector.called, cause="it takes what is sent again")
        return 0.0

    def _fail(self, error: SkerryError) -> None:
        self._failed += 1
        if not self._trouble:
            self._events.emit(
                "otlp.not_sent",
                self._collector.called,
                cause=error.what,
                next_step=error.next_step or "metrics are sent later, spans are not",
                level=Level.WARNING,
            )
        self._trouble = error.what

    def statistics(self) -> OtlpStatistics:
        """A snapshot."""
        return OtlpStatistics(self._sent, self._failed, self._lost, self._trouble)


def metrics_of(metrics: Registry, now: float) -> Iterator[Metric]:
    """Every family of a node as it is now."""
    for family in metrics.settled():
        points = tuple(_points(family, now))
        yield Metric(family.name, family.meaning, family.unit, family.kind, points)


def _points(family: Family, now: float) -> Iterator[Point]:
    if isinstance(family, Histogram):
        for labels, found in family.series().items():
            named = dict(zip(family.labels, labels, strict=True))
            exemplars = tuple(
                Exemplar(each.trace_id, each.value, each.at) for each in found.exemplars.values()
            )
            counts, bounds = tuple(found.counts), family.bounds
            yield Point(named, now, found.sum, found.created, counts, bounds, exemplars)
        return
    series = family.series()
    created = family.created(series) if isinstance(family, Counter | Tally) else {}
    for labels, value in series.items():
        named = dict(zip(family.labels, labels, strict=True))
        yield Point(named, now, value, created.get(labels))


def token_of(path: str) -> str:
    """Read each time: a short-lived one is renewed under the node. Raises NotTaken."""
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotTaken(
            f"{path} cannot be read", next_step="see telemetry.otlp.token_file"
        ) from error
