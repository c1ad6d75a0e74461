"""One origin's answer as a place to fill from: its open body, then the rest by range.

Owns what makes a second answer the same representation: one strong validator (RFC 9110 sections
13.1.5 and 14, RFC 9111 section 3.4). Never asks for more than is missing; what cannot be proven to
belong together is not joined.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from skerry.cdn.core.parts import PartFlaw, Span, read_part, strong_validator
from skerry.cdn.ports import Origin
from skerry.upstream.ports import Exchange, Opened, TransportError, Trouble, Unavailable
from skerry.wire.message import Headers

_END = 1 << 60


@dataclass(frozen=True, slots=True)
class Answering:
    """An answer that has begun, and the request that brought it, without conditions."""

    origin: Origin
    target: str
    headers: Headers
    exchange: Exchange


class AsSent:
    """An exchange whose content coding is part of the content, and none of the fill's business."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.status = exchange.status
        self.headers = exchange.headers.without("Content-Encoding")

    def chunks(self) -> AsyncIterator[bytes]:
        return self._exchange.chunks()

    def switched(self) -> None:
        return None

    async def close(self) -> None:
        await self._exchange.close()


class ResumedPlace:
    """`upstream.ports.Place`: opened once for nothing, then by asking the origin again."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._exchange: Exchange | None = answering.exchange
        self._validator = strong_validator(answering.exchange.headers)

    @property
    def source(self) -> str:
        return self._answering.origin.name

    async def open(self, offset_bytes: int) -> Opened:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            return Opened(0, _size(exchange), AsSent(exchange))
        if self._validator is None:
            raise TransportError(Trouble.CUT, "cannot go on without a strong validator")
        return await self._again(offset_bytes, self._validator.value)

    def wrong(self) -> None:
        """Without a digest to agree with, nothing is ever wrong."""

    async def _again(self, offset_bytes: int, validator: str) -> Opened:
        headers = self._answering.headers
        if offset_bytes:
            ranged = (("Range", f"bytes={offset_bytes}-"), ("If-Range", validator))
            headers = headers.with_fields(*ranged)
        try:
            exchange = await self._answering.origin.send("GET", self._answering.target, headers)
        except Unavailable as error:
            trouble = error.causes[0].trouble if error.causes else Trouble.CUT
            raise TransportError(trouble, error.what) from error
        asked = Span(offset_bytes, _END) if offset_bytes else None
        part = read_part(exchange.status, exchange.headers, asked=asked)
        if isinstance(part, PartFlaw) or part.validator != self._validator:
            await exchange.close()
            raise TransportError(Trouble.WRONG_CONTENT, "has something else there by now")
        return Opened(part.span.start, part.total, AsSent(exchange))


def _size(exchange: Exchange) -> int | None:
    part = read_part(200, exchange.headers, asked=None)
    return None if isinstance(part, PartFlaw) else part.total
