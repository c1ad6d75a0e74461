"""The full way: an ASGI application around a handler.

Owns the translation between the server's messages and `wire.message`, and what a client is told
when a handler breaks. Never answers anything itself. ASGI 3, HTTP scope 2.3.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

from skerry.adapters.http_hot_keep import keep_hot
from skerry.adapters.http_send import close_body, encode_fields
from skerry.adapters.http_server_peer import certificate_of
from skerry.adapters.http_server_state import Carried
from skerry.adapters.http_server_tunnel import switch
from skerry.wire.message import (
    Answer,
    BodyAborted,
    Handler,
    Headers,
    Interim,
    PeerCertificate,
    Request,
)

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
        state.traffic.full_count += 1
        try:
            request = request_of(http, receive, interim_of(http, carried), peer_of(carried))
            answer = await self._handler(request)
        except BodyAborted:
            if not carried.outlet.lost:
                carried.outlet.abort()
                carried.cycle.disconnected = True
            return
        except Exception:
            answer = self._broken(carried, "the handler failed")
        if answer.status == 101 and answer.tunnel is not None:
            await switch(carried.connection, encode_fields(answer, method, date=state.date), answer)
            return
        if isinstance(answer.body, bytes) and not carried.outlet.can_hold(len(answer.body)):
            answer = replace(BUSY, sent=answer.sent)
        try:
            fields = encode_fields(answer, method, date=state.date)
        except ValueError:
            await close_body(answer.body)
            answer = self._broken(carried, "the answer cannot be sent")
            fields = encode_fields(answer, method, date=state.date)
        try:
            answer = keep_hot(carried, answer, fields)
        except (BodyAborted, OSError) as error:
            _log.info("a body cannot be read: %s", error)
            carried.outlet.abort()
            carried.cycle.disconnected = True
            return
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


def interim_of(scope: HTTPScope, carried: Carried) -> Interim | None:
    """What takes 1xx answers to the client; HTTP/1.0 has none (RFC 9110 section 15.2)."""
    if scope["http_version"] != "1.1":
        return None

    def send(status: int, headers: Headers) -> None:
        if not carried.cycle.response_started and not carried.cycle.disconnected:
            carried.outlet.send_interim(status, headers)

    return send


def peer_of(carried: Carried) -> PeerCertificate | None:
    """The client's certificate, at a door that asks for one."""
    certificates = carried.state.certificates
    if certificates is None or not certificates.asks_clients:
        return None
    return certificate_of(carried.connection.transport.get_extra_info("ssl_object"))


def request_of(
    scope: HTTPScope,
    receive: ASGIReceiveCallable,
    interim: Interim | None = None,
    certificate: PeerCertificate | None = None,
) -> Request:
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
        interim=interim,
        certificate=certificate,
        client_port=client[1] if client else 0,
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
