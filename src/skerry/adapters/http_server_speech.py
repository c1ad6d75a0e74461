"""What a door says itself: heads of 1xx answers, and refusals.

Owns their bytes. Decides nothing. RFC 9112 section 4, RFC 9110 section 15.2.
"""

from __future__ import annotations

import json

from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE

from skerry.adapters.http_server_strict import Refusal
from skerry.wire.message import Headers

Fields = list[tuple[bytes, bytes]]

_FRAMING = (b"content-length", b"transfer-encoding", b"connection")


def encode_head(status: int, fields: Fields) -> bytes:
    """A whole head, as a connection that stays open sends it."""
    lines = [STATUS_LINE[status]]
    for name, value in fields:
        lines += (name, b": ", value, b"\r\n")
    return b"".join((*lines, b"\r\n"))


def encode_interim(status: int, headers: Headers) -> bytes:
    """The head of a 1xx answer, without what must not be on the wire or frames a body."""
    fields: Fields = []
    for name_text, value_text in headers:
        name = name_text.lower().encode("latin-1", "replace")
        value = value_text.encode("latin-1", "replace")
        if (
            name not in _FRAMING
            and not HEADER_RE.search(name)
            and not HEADER_VALUE_RE.search(value)
        ):
            fields.append((name, value))
    return encode_head(status, fields)


def encode_refusal(refusal: Refusal, date: bytes, *, plain: bool) -> bytes:
    """A whole answer to what is not read on: one sentence, for people or as registries say it."""
    code = "TOOMANYREQUESTS" if refusal.status == 503 else "UNSUPPORTED"
    told = {"errors": [{"code": code, "message": refusal.sentence}]}
    body = f"{refusal.sentence}\n".encode() if plain else json.dumps(told).encode()
    kind = b"text/plain; charset=utf-8" if plain else b"application/json"
    lines = [
        STATUS_LINE[refusal.status] + b"date: " + date,
        b"server: skerry",
        b"content-type: " + kind,
        b"cache-control: no-store",
        b"content-length: " + str(len(body)).encode(),
        b"connection: close",
    ]
    if refusal.status == 503:
        lines.append(b"retry-after: 1")
    return b"\r\n".join((*lines, b"", body))
