"""A request's body on its way out, and who is waited for meanwhile.

Owns the sending. While the next chunk of a body is awaited nobody but its maker is waited for; once
it is handed over, the destination has to take it, and after the last one it has to answer.
RFC 9112 sections 6.2 and 7.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from skerry.adapters.http_client_exchange import HttpExchange
from skerry.upstream.ports import Dial, TransportError, Trouble


class Taker(Protocol):
    """The connection a body goes out by."""

    def write(self, data: bytes) -> None: ...
    async def drained(self) -> None: ...
    def abort(self) -> None: ...


async def send_body(
    body: AsyncIterator[bytes],
    *,
    length_bytes: int | None,
    taker: Taker,
    exchange: HttpExchange,
    named: str,
    dial: Dial,
) -> None:
    """Sends a body by its length, or in chunks when that is None; never raises an Exception.

    What its maker raises, and a destination that does not take it, is told to `exchange`.
    """
    sent_bytes = 0
    try:
        while (chunk := await anext(body, None)) is not None:
            if not chunk:
                continue  # an empty one would read as the end
            sent_bytes += len(chunk)
            if length_bytes is not None and sent_bytes > length_bytes:
                break
            sized = length_bytes is not None
            taker.write(chunk if sized else b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await _taken(taker, named, dial)
        if length_bytes is None:
            taker.write(b"0\r\n\r\n")
        elif sent_bytes != length_bytes:
            raise TransportError(
                Trouble.PROTOCOL, f"{named} cannot be asked: the body is not as long as announced"
            )
    except Exception as error:
        exchange.fail(error)  # its maker's, who is told what he raised
        taker.abort()
    else:
        if not exchange.status:
            exchange.bound(dial.first_byte_seconds)


async def _taken(taker: Taker, named: str, dial: Dial) -> None:
    try:
        async with asyncio.timeout(dial.stall_seconds):
            await taker.drained()
    except TimeoutError:
        raise TransportError(
            Trouble.STALL, f"{named} took nothing for {dial.stall_seconds:g} s"
        ) from None
