"""What every route of the admin door reads and answers with.

Owns the JSON of answers and errors, streams of events, and bodies within bounds. Knows no route.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from skerry.base.errors import BadInput, Party, SkerryError
from skerry.registry.operations import NotHeld
from skerry.wire.message import Answer, Headers, Request

JSON = "application/json"
NDJSON = "application/x-ndjson"
BODY_BYTES_MAX = 1 << 20

STATUS_OF = {Party.CLIENT: 400, Party.OPERATOR: 409, Party.UPSTREAM: 503, Party.NODE: 500}

Route = Callable[[Request], Awaitable[Answer]]
Routes = Mapping[str, Mapping[str, Route]]
"""Path, method, route."""
T = TypeVar("T")


class Forbidden(SkerryError):
    """Somebody asks for what is another's."""

    party = Party.CLIENT


def failure(status: int, party: Party, what: str, next_step: str) -> Answer:
    """An error as every route says it."""
    body = {"error": {"party": party.value, "what": what, "next_step": next_step}}
    return Answer(status, headers_of(JSON), msgspec.json.encode(body))


def failed(error: SkerryError) -> Answer:
    """The answer an error deserves."""
    if isinstance(error, Forbidden):
        return failure(403, error.party, error.what, error.next_step)
    status = 404 if isinstance(error, NotHeld) else STATUS_OF[error.party]
    return failure(status, error.party, error.what, error.next_step)


def headers_of(content_type: str) -> Headers:
    """For an answer that nobody may keep or take for something else."""
    return Headers(
        (
            ("Content-Type", content_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        )
    )


def json_answer(value: object) -> Answer:
    """A value as JSON."""
    return Answer(200, headers_of(JSON), msgspec.json.encode(value))


async def stream_answer(events: AsyncIterator[T]) -> Answer:
    """Events as lines. The first is awaited, so that what fails at once gets its real status."""
    try:
        first = await anext(events)
    except StopAsyncIteration:
        return Answer(200, headers_of(NDJSON), b"")
    return Answer(200, headers_of(NDJSON), _lines(first, events))


async def _lines(first: T, events: AsyncIterator[T]) -> AsyncIterator[bytes]:
    """An error after the first line becomes the last one."""
    try:
        yield msgspec.json.encode(first) + b"\n"
        async for event in events:
            yield msgspec.json.encode(event) + b"\n"
    except SkerryError as error:
        body = failed(error).body
        if isinstance(body, bytes):
            yield body + b"\n"
    finally:
        # The client may have left: close what produces the events, not some time later.
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


async def read_body(request: Request, kind: type[T]) -> T:
    """The body as JSON of one shape. Raises BadInput."""
    data = bytearray()
    async for chunk in request.body:
        data += chunk
        if len(data) > BODY_BYTES_MAX:
            raise BadInput("the body is over 1 MiB", next_step="split it")
    try:
        return msgspec.json.decode(bytes(data) or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(
            f"the body is not what is expected: {error}",
            next_step="see docs/reference/admin-api.md",
        ) from error


def since_of(request: Request) -> float:
    """The time of `?since=`, in seconds since the epoch; 0 without one. Raises BadInput."""
    try:
        since = float(request.query_value("since") or "0")
    except ValueError:
        since = -1.0
    if not 0 <= since < math.inf:
        raise BadInput("since is not a time", next_step="send seconds since 1970")
    return since
