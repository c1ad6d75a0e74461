"""How the outside is reached: values, Protocols and errors.

Owns no policy of one domain: paths, media types and what an answer means belong to the asker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from skerry.base.errors import Party, SkerryError
from skerry.wire.message import NO_HEADERS, Duplex, Headers, Interim


class Trouble(StrEnum):
    """Why a source did not give an answer. Bounded: used as a metric label."""

    DNS = "dns"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    STALL = "stall"
    CUT = "cut"
    PROTOCOL = "protocol"
    SERVER_ERROR = "server_error"
    RATE_LIMITED = "rate_limited"
    DENIED = "denied"
    TOKEN_SERVICE = "token_service"
    BREAKER_OPEN = "breaker_open"
    BUDGET = "budget"
    FORBIDDEN_ADDRESS = "forbidden_address"
    WRONG_CONTENT = "wrong_content"
    TOO_LARGE = "too_large"


class TransportError(SkerryError):
    """The exchange with one host failed. `trouble` says how."""

    party = Party.UPSTREAM

    def __init__(self, trouble: Trouble, what: str) -> None:
        super().__init__(what)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Cause:
    """Why one source could not answer."""

    source: str
    trouble: Trouble
    what: str


class Unavailable(SkerryError):
    """Cannot be had now: some source that could have it did not answer. Never a 404.

    Attributes:
        upstream: configured name.
        causes: one per source that was tried or skipped.
        retry_after_seconds: when trying again may help.
    """

    party = Party.UPSTREAM

    def __init__(
        self, upstream: str, causes: tuple[Cause, ...], *, retry_after_seconds: int
    ) -> None:
        reasons = "; ".join(f"{c.source}: {c.what}" for c in causes) or "no source is configured"
        chosen = bool(causes) and all(each.trouble is Trouble.BUDGET for each in causes)
        how = "is not asked" if chosen else "cannot be reached"
        super().__init__(
            f"{upstream} {how} now ({reasons})",
            next_step=f"try again in {retry_after_seconds} s",
        )
        self.upstream = upstream
        self.causes = causes
        self.retry_after_seconds = retry_after_seconds


class Absent(SkerryError):
    """Every source that was asked says there is no such thing (404 or 410)."""

    party = Party.CLIENT


class Denied(SkerryError):
    """The upstream refuses this node's credentials, or hides the thing from it (401, 403)."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request to an upstream, before credentials and source are known.

    Attributes:
        method: GET or HEAD.
        path: below the source's base, starts with a slash, already encoded.
        query: without the question mark.
        headers: no Host, Authorization or hop-by-hop fields.
        scope: what the token service is asked for, e.g. `repository:library/nginx:pull`.
    """

    method: str
    path: str
    headers: Headers = NO_HEADERS
    query: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole small answer of one source."""

    source: str
    status: int
    headers: Headers
    body: bytes = b""


class Exchange(Protocol):
    """An answer whose head has arrived; its body is read at most once."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Headers: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as sent (no content coding undone). Raises TransportError (STALL, CUT)."""

    def switched(self) -> Duplex | None:
        """The connection after a 101; None for every other answer.

        Closing it is its user's: closing the exchange behind this call leaves it open.
        """

    async def close(self) -> None:
        """Lets the connection go; may be called twice."""


@dataclass(frozen=True, slots=True)
class Dial:
    """How to reach one source's hosts.

    Attributes:
        connect_seconds: name, TCP and TLS together.
        first_byte_seconds: from request sent to head received.
        stall_seconds: between two reads of a body.
        ca_file: a PEM bundle trusted besides the system's, or None.
        proxy: URL of an HTTP proxy, "" for none, None for `HTTP(S)_PROXY`/`NO_PROXY`.
        connections_max: to this source at once.
        private_hosts: what may resolve to private addresses (the configured ones): `host` for any
            of its ports, `host:port` for one.
    """

    connect_seconds: float = 1.0
    first_byte_seconds: float = 3.0
    stall_seconds: float = 5.0
    ca_file: str | None = None
    proxy: str | None = None
    connections_max: int = 16
    private_hosts: frozenset[str] = frozenset()


class Transport(Protocol):
    """Sends one request to one URL. Follows no redirect, holds no credential, retries nothing."""

    async def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        dial: Dial,
        body: bytes | AsyncIterator[bytes] = b"",
        interim: Interim | None = None,
    ) -> Exchange:
        """Raises TransportError, and whatever a body that is an iterator raises.

        Such a body is sent as it comes, by the `Content-Length` in `headers` or in chunks, and
        never twice. While its next chunk is awaited nothing is bounded here; the destination has
        `stall_seconds` to take each, and `first_byte_seconds` to answer after the last.
        `interim` takes the 1xx answers before the final one, 100 and 101 apart. A 101 is an answer
        only to a request with `Upgrade` and `Connection: upgrade` in `headers`, PROTOCOL else.
        """

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A place has begun to give content.

    Attributes:
        offset_bytes: where the first chunk starts; 0 when the place ignored the range.
        size_bytes: the whole content's length, or None when it did not say.
        exchange: the body.
    """

    offset_bytes: int
    size_bytes: int | None
    exchange: Exchange


class Place(Protocol):
    """One source that may have one content."""

    @property
    def source(self) -> str:
        """The source's name, for causes and metrics."""

    async def open(self, offset_bytes: int) -> Opened:
        """Asks for the content from an offset. Raises TransportError, Absent, Denied."""

    def wrong(self) -> None:
        """Told when what it gave failed its digest: the source is marked."""
