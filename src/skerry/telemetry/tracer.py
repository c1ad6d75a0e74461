"""Follows some requests through the node, and keeps their spans until somebody takes them.

Owns which requests are followed, and the bound: when nobody takes the spans the oldest go, counted.
Never waits, never sends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from skerry.telemetry.accounts import PUBLIC, Account
from skerry.telemetry.traces import Kind, Span, TraceContext, begin, new_span_id, parse

SPANS_MAX = 4096


@dataclass(frozen=True, slots=True)
class TracerStatistics:
    """A snapshot. `dropped_count`: spans that nobody took in time; `withheld_count`: of sensitive
    requests."""

    waiting_count: int
    ended_count: int
    dropped_count: int
    withheld_count: int


class Tracer:
    """The spans of one node."""

    def __init__(self, *, share: float, chance: Random, now: Callable[[], float]) -> None:
        """`share` of the requests is followed whose sender does not follow them."""
        self._share = share
        self._chance = chance
        self._now = now
        self._spans: deque[Span] = deque()
        self._ended = self._dropped = self._withheld = 0

    def begin(self, traceparent: str, name: str) -> Span | None:
        """The span of a request at a door; None when it is not followed."""
        sent = parse(traceparent) if traceparent else None
        context = begin(sent, share=self._share, chance=self._chance)
        if context is None:
            return None
        return Span(context, sent.span_id if sent else "", name, Kind.SERVER, self._now())

    def child(self, parent: Span, name: str) -> Span:
        """A step of a request that is followed."""
        context = TraceContext(parent.context.trace_id, new_span_id(self._chance), sampled=True)
        return Span(context, parent.context.span_id, name, Kind.CLIENT, self._now())

    def end(self, span: Span, account: Account, *, status: int) -> None:
        """Keeps a span, with what may be told of its request and no more.

        Of a sensitive request nothing is kept: a span tells when one came and how long it took.
        """
        if account.data_class != PUBLIC:
            self._withheld += 1
            return
        span.ended_at = self._now()
        span.failed = status >= 500
        span.attributes["http.response.status_code"] = status
        for name, value in (
            ("skerry.kind", account.kind),
            ("skerry.outcome", account.outcome),
            ("skerry.subject", account.subject),
        ):
            if value:
                span.attributes[name] = value
        self._ended += 1
        if len(self._spans) >= SPANS_MAX:
            self._spans.popleft()
            self._dropped += 1
        self._spans.append(span)

    def take(self, count_max: int) -> list[Span]:
        """The oldest spans; they are the caller's from now on."""
        return [self._spans.popleft() for _ in range(min(count_max, len(self._spans)))]

    def statistics(self) -> TracerStatistics:
        """A snapshot."""
        return TracerStatistics(len(self._spans), self._ended, self._dropped, self._withheld)
