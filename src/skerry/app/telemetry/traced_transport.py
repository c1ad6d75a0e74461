"""The way out, with traces: each request to an upstream is a step of the request that caused it.

Owns which requests carry a trace context outside: those of public requests that are followed. One
of a sensitive request never tells anybody outside that it belongs to another (requirements S2).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from skerry.telemetry.accounts import PUBLIC, current
from skerry.telemetry.tracer import Tracer
from skerry.upstream.ports import Dial, Exchange, Transport
from skerry.wire.message import Headers, Interim

FIELDS = ("traceparent", "tracestate")


class TracedTransport:
    """`upstream.ports.Transport` around another one."""

    def __init__(self, transport: Transport, tracer: Tracer) -> None:
        self._transport = transport
        self._tracer = tracer

    async def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        dial: Dial,
        body: bytes | AsyncIterator[bytes] = b"",
        interim: Interim | None = None,
    ) -> Exchange:
        account = current()
        if account.data_class != PUBLIC:
            headers = headers.without(*FIELDS)
        parent = account.span
        if parent is None:
            return await self._transport.send(method, url, headers, dial, body, interim)
        span = self._tracer.child(parent, f"{method} upstream")
        if account.data_class == PUBLIC:
            headers = headers.with_fields(("traceparent", span.context.traceparent))
        status = 500
        try:
            exchange = await self._transport.send(method, url, headers, dial, body, interim)
            status = exchange.status
            return exchange
        finally:
            self._tracer.end(span, account, status=status)

    async def close(self) -> None:
        await self._transport.close()
