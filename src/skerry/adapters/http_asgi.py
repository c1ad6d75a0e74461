"""The full way: an ASGI application around a handler.

Owns the translation between the server's messages and `wire.message`, and what a client is told
when a handler breaks. Never answers anything itself. ASGI 3, HTTP scope 2.3.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import cast

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

from skerry.adapters.http_hot import HOT_BODY_BYTES_MAX
from skerry.adapters.http_send import Fields, close_body, encode_fields, encode_head
from skerry.adapters.http_server_state import Carried
from skerry.wire.message import Answer, BodyAborted, Handler, Headers, Request

_log = logging.getLogger("skerry.http")

INTERNAL_ERROR = Answer(
    500,
    Headers([("Content-Type", "application/json")]),
    b'{"errors":[{"code":"UNKNOWN","message":"internal error"}]}',
)

BUSY = Answer(
    503,
    Headers([("Content-Type", "application/json"), ("Retry-After", "5")]),
    b'{"errors":[{"code":"UNAVAILABLE","message":"too many large answers wait for readers"}]}',
)


class FullWay:
    """Asks the handler and sends what it answers."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """One request. Never raises but for cancellation: the connection is reset instead."""
        http = cast(HTTPScope, scope)
        carried = cast(Carried, http["extensions"]["skerry"])
        state, method = carried.state, http["method"]
        try:
            answer = await self._handler(request_of(http, receive))
        except BodyAborted:
            if not carried.outlet.lost:
                carried.outlet.abort()
                carried.cycle.disconnected = True
            return
        except Exception:
            answer = self._broken(carried, "the handler failed")
        if isinstance(answer.body, bytes) and not carried.outlet.can_hold(len(answer.body)):
            answer = BUSY
        try:
            fields = encode_fields(answer, method, date=state.date)
        except ValueError:
            await close_body(answer.body)
            answer = self._broken(carried, "the answer cannot be sent")
            fields = encode_fields(answer, method, date=state.date)
        keep_hot(carried, answer, fields)
        try:
            await carried.outlet.deliver(carried.cycle, fields, answer)
        except BodyAborted as error:
            _log.info("a body was cut: %s", error)
        except Exception:
            _log.exception("a body failed while it was sent")

    def _broken(self, carried: Carried, what: str) -> Answer:
        carried.state.traffic.failed_count += 1
        _log.exception(what)
        return INTERNAL_ERROR


def request_of(scope: HTTPScope, receive: ASGIReceiveCallable) -> Request:
    """The request as a value; its body is read from the connection as it is iterated."""
    client = scope["client"]
    return Request(
        method=scope["method"],
        path=scope["path"],
        headers=Headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ),
        query=scope["query_string"].decode("latin-1"),
        raw_path=scope["raw_path"].decode("ascii"),
        body=body_of(receive),
        client=client[0] if client else "",
        scheme=scope["scheme"],
    )


async def body_of(receive: ASGIReceiveCallable) -> AsyncIterator[bytes]:
    """The body's chunks. Raises BodyAborted when the client leaves before its end.

    Reading is what lets the client go on sending: nothing is read ahead but one buffer.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise BodyAborted("the client left before the end of its request")
        more = message.get("more_body", False)
        if chunk := message.get("body", b""):
            yield chunk


def keep_hot(carried: Carried, answer: Answer, fields: Fields) -> None:
    """Puts an answer that has leave into the hot table, as the bytes that will be sent."""
    body, hot, key = answer.body, answer.hot, carried.hot_key
    if hot is None or key is None or answer.status != 200 or not isinstance(body, bytes):
        return
    # A field that closes the connection, or a date of the answer's own, cannot be repeated.
    if len(body) > HOT_BODY_BYTES_MAX or fields[0] != (b"date", carried.state.date):
        return
    if any(name == b"connection" for name, _ in fields):
        return
    head = encode_head(answer.status, fields)
    carried.state.hot.put(
        key,
        head if key[0] == b"HEAD" else head + body,
        date_at=head.index(b"\r\ndate: ") + 8,
        valid_until=hot.valid_until,
        hit=hot.hit,
        generation=carried.hot_generation,
    )
