"""One HTTP request and one answer, as values.

Owns the shapes every front of the node (registry, cache, admin) speaks, so that none of them
knows a server framework, and the server adapter knows none of them. RFC 9110.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl

QUERY_FIELDS_MAX = 64


class Headers:
    """An immutable, ordered list of fields; names compare without case (RFC 9110 section 5.1)."""

    __slots__ = ("_fields", "_values")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple(fields)
        self._values: dict[str, tuple[str, ...]] | None = None  # by name, when first asked for

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __contains__(self, name: str) -> bool:
        return name.lower() in (self._values or self._by_name())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Headers({[name for name, _ in self._fields]!r})"  # values may be secret

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a field."""
        values = (self._values or self._by_name()).get(name.lower())
        return values[0] if values else default

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field, one per field line."""
        return (self._values or self._by_name()).get(name.lower(), ())

    def joined(self, name: str) -> str:
        """Every value of a list field as one (RFC 9110 section 5.3); "" when absent."""
        values = (self._values or self._by_name()).get(name.lower())
        return ", ".join(values) if values else ""

    def with_fields(self, *fields: tuple[str, str]) -> Headers:
        """These fields replaced or added."""
        kept = self.without(*[name for name, _ in fields])
        return Headers((*kept._fields, *fields))

    def without(self, *names: str) -> Headers:
        """All but these fields."""
        values = self._values or self._by_name()
        gone = {low for name in names if (low := name.lower()) in values}
        if not gone:
            return self  # most often; what is immutable needs no copy
        kept = Headers([f for f in self._fields if f[0].lower() not in gone])
        kept._values = {name: each for name, each in values.items() if name not in gone}
        return kept

    def _by_name(self) -> dict[str, tuple[str, ...]]:
        values = self._values
        if values is None:
            values = self._values = {}
            for name, value in self._fields:
                low = name.lower()
                values[low] = (*values[low], value) if low in values else (value,)
        return values


NO_HEADERS = Headers()


async def no_body() -> AsyncIterator[bytes]:
    """The body of a request that has none."""
    return
    yield b""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """A client's certificate that the door has proved to be of an authority it trusts.

    Attributes:
        names: `cn:`, `dns:`, `uri:` and `email:` with what follows them in the certificate.
        ends_at: seconds since the epoch.
    """

    names: tuple[str, ...]
    ends_at: float


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent.

    Attributes:
        method: upper case.
        path: percent-decoded.
        raw_path: as sent, so that an encoded slash can be told from a real one.
        query: as sent, without the question mark.
        body: the body's chunks; may be iterated once.
        client: the peer's address, "" when unknown. Never an identity (NAT, requirements L1).
        client_port: tells connections of one address apart; 0 when unknown.
        scheme: http or https.
        interim: takes answers before the final one; None where the client cannot have them.
        certificate: the client's, where the door asks for one and the client has shown it.
        via: trusted proxies it came through, the client's first, the peer last; `client` is then
            who came to the first of them (`wire.forwarded`).
    """

    method: str
    path: str
    headers: Headers = NO_HEADERS
    query: str = ""
    raw_path: str = ""
    body: AsyncIterator[bytes] = field(default_factory=no_body)
    client: str = ""
    scheme: str = "http"
    interim: Interim | None = None
    client_port: int = 0
    certificate: PeerCertificate | None = None
    via: tuple[str, ...] = ()

    def query_value(self, name: str) -> str | None:
        """The first value of a query parameter, decoded. Whoever opens a door to strangers has
        refused a query of more than `QUERY_FIELDS_MAX` fields before."""
        pairs = parse_qsl(self.query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
        return next((value for key, value in pairs if key == name), None)


class BodyAborted(Exception):
    """A body broke after its first bytes went out: the connection must be aborted, not closed."""


class Segment(Protocol):
    """Consecutive bytes of an open file, of which some may not be there yet.

    The server sends them with sendfile. `size_bytes` is final, whatever has arrived so far.
    """

    @property
    def offset_bytes(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...

    def fileno(self) -> int:
        """The open file's descriptor, good until `close`."""

    async def readable(self, position: int) -> int:
        """Waits until more than `position` of the file may be sent.

        Returns the end of what may be sent now (a file offset, > position, at most
        offset + size). Raises BodyAborted when the rest will never come or proved wrong.
        """

    def close(self) -> None:
        """Gives the descriptor back; may be called twice."""


Piece = bytes | Segment
"""A part of a body. Whoever takes a segment from an iterator closes it."""

Body = bytes | Segment | AsyncIterator[Piece]

Interim = Callable[[int, Headers], None]
"""Takes an interim answer (1xx but 100 and 101) on its way to a client; never blocks."""


class Duplex(Protocol):
    """A connection whose bytes belong to another protocol after a 101 (RFC 9110 section 7.8)."""

    def chunks(self) -> AsyncIterator[bytes]:
        """What the other side sends, until it ends its half."""

    async def write(self, data: bytes) -> None:
        """Sends; waits while the other side does not read. Raises BodyAborted once it is gone."""

    async def finish(self) -> None:
        """Ends this side's half; what the other side still sends can be read."""

    async def close(self) -> None:
        """Lets the connection go; may be called twice."""


Tunnel = Callable[[Duplex], Awaitable[None]]
"""Speaks the other protocol with the client until it returns; then the connection closes.

Called in every case, also when the client has left by then: it lets go of what it holds."""


@dataclass(frozen=True, slots=True)
class Aging:
    """The numbers of an answer's head that follow the clock while it is repeated.

    `Age` rises and `ttl=` in Cache-Status falls by one a second (RFC 9111 section 5.1, RFC 9211
    section 2.4). All in seconds; `at` is on the monotonic clock, when the other two were true.
    """

    at: float
    age_seconds: float
    ttl_seconds: float


HotUses = Callable[[int, int], None]
"""Counts so many uses of a ready answer, and their body bytes together; must not block."""


Sent = Callable[[int], None]
"""Counts so many body bytes more that were handed to a connection; must not block."""


@dataclass(frozen=True, slots=True)
class Hot:
    """Leave to answer the same request again from ready bytes (the fast way, design section 5).

    Attributes:
        valid_until: on the monotonic clock, seconds.
        hit: called within about a second of the uses that it counts.
        about: names of what the answer was made of; when one is forgotten, so is the answer.
        aging: the numbers in the head that follow the clock; None when none do.
        fields: lower-case names of the request fields that the answer depends on, as sent.
        whole_bytes: length of the whole body, of which parts may be answered as well where the
            status is 200 or 206. Needed with a segment, whose file holds that body and no more.
    """

    valid_until: float
    hit: HotUses
    about: tuple[str, ...] = ()
    aging: Aging | None = None
    fields: tuple[str, ...] = ("accept",)
    whole_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back.

    `Content-Length` is set by the server from a body of known length unless given (HEAD gives
    it). `hot` may be set only for an answer to GET or HEAD, with bytes or a segment of a complete
    file, that depends on nothing but method, authority, target, `hot.fields`, the range asked for
    and time. `tunnel` comes with a 101 alone. `sent` is told of the body's bytes as they are handed
    to the connection, on the full way; must not block.
    """

    status: int
    headers: Headers = NO_HEADERS
    body: Body = b""
    hot: Hot | None = None
    tunnel: Tunnel | None = None
    sent: Sent | None = None


def announced_bytes(answer: Answer) -> int:
    """The length of a body as its head says it; 0 where only the end tells."""
    if isinstance(answer.body, bytes):
        return len(answer.body)
    length = answer.headers.get("Content-Length")
    if length is not None and length.isdigit():
        return int(length)
    return 0 if isinstance(answer.body, AsyncIterator) else answer.body.size_bytes


class Handler(Protocol):
    """A front of the node."""

    async def __call__(self, request: Request) -> Answer: ...
