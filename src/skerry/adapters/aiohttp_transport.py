"""The `Transport` over aiohttp.

Owns sockets, TLS contexts and connection pools, one pool per `Dial` and proxy, so that an upstream
in a black hole starves no other (requirements P1). Holds no policy: follows no redirect, keeps no
cookie, undoes no coding, knows no credential; never reads `.netrc`. What may be dialled is asked
of `upstream.core.guard` at connect time.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

import skerry
from skerry.adapters.aiohttp_body import StraightBody, taken_over
from skerry.adapters.outgoing_body import OutgoingBody, Watch
from skerry.adapters.proxies import proxy_for
from skerry.adapters.resolver import GuardedResolver, NameResolver
from skerry.upstream.core.guard import Origin, host_of, literal, may_dial, origin_of
from skerry.upstream.ports import Dial, Exchange, TransportError, Trouble
from skerry.wire.message import Duplex, Headers, Interim

READ_BUFFER_BYTES = 128 * 1024
"""Per body, twice as much at most; a long one of known length is then read past it."""
IDLE_SECONDS = 30.0
DNS_SHARE = 0.8
"""Of the connect time: a hanging DNS server is told from a host that does not answer."""

_REFUSED = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN})


@dataclass(frozen=True, slots=True)
class TransportStatistics:
    """Pools and requests since start."""

    pools: int
    sent: int
    reused: int
    failed: int


class AiohttpTransport:
    """Sends requests; close it when the node stops."""

    def __init__(self, *, resolver: NameResolver, environment: Mapping[str, str] | None = None):
        self._resolver = resolver
        self._environment = os.environ if environment is None else environment
        self._pools: dict[tuple[Dial, str], aiohttp.ClientSession] = {}
        self._tls: dict[str | None, ssl.SSLContext] = {}
        self._sent = 0
        self._reused = 0
        self._failed = 0

    async def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        dial: Dial,
        body: bytes | AsyncIterator[bytes] = b"",
        interim: Interim | None = None,
    ) -> Exchange:
        """Raises TransportError, and what a body that is an iterator raises."""
        origin = origin_of(url)
        if origin is None:
            raise TransportError(Trouble.PROTOCOL, "is not a usable http or https URL")
        host = origin.host
        if not may_dial(host, literal(host), dial.private_hosts):
            raise TransportError(
                Trouble.FORBIDDEN_ADDRESS,
                f"{host} is an inside address that redirect_hosts or realms must list",
            )
        proxy = proxy_for(url, self._environment) if dial.proxy is None else dial.proxy
        self._sent += 1
        try:
            return await self._send(method, url, headers, dial, body, proxy, origin)
        except TransportError:
            self._failed += 1
            raise

    async def _send(
        self,
        method: str,
        url: str,
        headers: Headers,
        dial: Dial,
        body: bytes | AsyncIterator[bytes],
        proxy: str,
        origin: Origin,
    ) -> Exchange:
        pool = self._pool(dial, proxy)
        fields: CIMultiDict[str] = CIMultiDict(tuple(headers))
        secure = origin.scheme == "https" or proxy.startswith("https:")
        trust = await self._trust(dial.ca_file) if secure else True
        fields.setdefault("User-Agent", f"skerry/{skerry.__version__}")
        outgoing = None if isinstance(body, bytes) else OutgoingBody(body)
        try:
            async with asyncio.timeout(None) as until_head:
                watch = Watch(until_head, dial)
                if outgoing is not None:
                    outgoing.watch = watch
                response = await pool.request(
                    method,
                    URL(url, encoded=True),
                    headers=fields,
                    data=(body or None) if outgoing is None else outgoing,
                    allow_redirects=False,
                    proxy=proxy or None,
                    ssl=trust,
                    timeout=aiohttp.ClientTimeout(
                        total=None, connect=dial.connect_seconds, ceil_threshold=1e9
                    ),
                    trace_request_ctx=watch if outgoing is None else None,
                )
        except TransportError:
            raise
        except Exception as error:
            if outgoing is not None and outgoing.error is not None:
                raise outgoing.error from None  # nobody's fault but its maker's
            raise _translate(error, str(origin), dial, body_begun=False) from error
        finally:
            watch.end()
        return AiohttpExchange(response, str(origin), dial, outgoing)

    def statistics(self) -> TransportStatistics:
        """A snapshot."""
        return TransportStatistics(len(self._pools), self._sent, self._reused, self._failed)

    async def close(self) -> None:
        """Closes every pool; may be called twice."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()

    def _pool(self, dial: Dial, proxy: str) -> aiohttp.ClientSession:
        pool = self._pools.get((dial, proxy))
        if pool is None:
            # Through a proxy only the proxy is resolved here, and it is configured.
            hosts = frozenset({host_of(proxy)}) if proxy else dial.private_hosts
            connector = aiohttp.TCPConnector(
                resolver=GuardedResolver(
                    self._resolver,
                    private_hosts=hosts,
                    within_seconds=dial.connect_seconds * DNS_SHARE,
                ),
                use_dns_cache=False,  # the resolver has its own, which obeys the TTL
                limit=0,  # the gate before each source counts
                keepalive_timeout=IDLE_SECONDS,
            )
            pool = self._pools[(dial, proxy)] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,  # would also read .netrc and send what it finds there
                skip_auto_headers=("Accept-Encoding", "Content-Type"),
                read_bufsize=READ_BUFFER_BYTES,
                max_line_size=16 * 1024,
                max_field_size=16 * 1024,
                trace_configs=[self._tracing()],
            )
        return pool

    def _tracing(self) -> aiohttp.TraceConfig:
        """Starts the first-byte clock when the request is sent, not before."""
        tracing = aiohttp.TraceConfig()

        async def on_sent(
            session: aiohttp.ClientSession, context: SimpleNamespace, params: object
        ) -> None:
            watch = context.trace_request_ctx
            if isinstance(watch, Watch):
                watch.for_head()

        async def on_reuse(
            session: aiohttp.ClientSession, context: SimpleNamespace, params: object
        ) -> None:
            self._reused += 1

        tracing.on_request_headers_sent.append(on_sent)
        tracing.on_connection_reuseconn.append(on_reuse)
        return tracing

    async def _trust(self, ca_file: str | None) -> ssl.SSLContext:
        """The system's trust and the configured bundle; always verifying (T8).

        Reading them takes longer than a hundred answers from the cache: it is done in a thread.
        """
        context = self._tls.get(ca_file)
        if context is None:
            context = self._tls[ca_file] = await asyncio.to_thread(_read_trust, ca_file)
        return context


def _read_trust(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(Path(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise TransportError(
                Trouble.TLS, f"the ca_file {ca_file} cannot be read: {error}"
            ) from error
    return context


class AiohttpExchange:
    """An answer whose head has arrived."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        named: str,
        dial: Dial,
        outgoing: OutgoingBody | None = None,
    ) -> None:
        self._outgoing = outgoing  # an answer may begin before the request has ended
        self._response = response
        self._named = named
        self._dial = dial
        self._headers = Headers(response.headers.items())
        self._had_bytes = 0
        self._straight: StraightBody | None = None

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Headers:
        return self._headers

    @property
    def read_straight(self) -> bool:
        """Whether the body is read past aiohttp's parser by now."""
        return self._straight is not None

    @property
    def held_bytes(self) -> int:
        """What of such a body has come and was not taken."""
        return self._straight.held_bytes if self._straight is not None else 0

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as sent. Raises TransportError STALL, CUT, PROTOCOL."""
        return self

    def switched(self) -> Duplex | None:
        """None: see `Exchange`."""
        return None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            async with asyncio.timeout(self._dial.stall_seconds):
                chunk = await self._read()
        except Exception as error:
            self._response.close()
            if self._outgoing is not None and self._outgoing.error is not None:
                raise self._outgoing.error from None
            raise _translate(error, self._named, self._dial, body_begun=True) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def _read(self) -> bytes:
        if self._straight is not None:
            return await self._straight.read()
        content = self._response.content
        chunk = await content.readany()
        while held := content.read_nowait():
            chunk += held  # letting aiohttp go on may bring what it held back
        self._had_bytes += len(chunk)
        if chunk:
            self._straight = taken_over(self._response, had_bytes=self._had_bytes)
        return chunk

    async def close(self) -> None:
        """Lets the connection go: back to the pool at the body's end, else closed."""
        self._response.close()


def _translate(error: Exception, named: str, dial: Dial, *, body_begun: bool) -> TransportError:
    """A foreign error as ours. Names the host alone: a query may hold a signature."""

    def trouble(kind: Trouble, what: str) -> TransportError:
        return TransportError(kind, f"{named} {what}")

    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return trouble(
            Trouble.CONNECT_TIMEOUT, f"did not connect within {dial.connect_seconds:g} s"
        )
    if isinstance(error, TimeoutError):
        if body_begun:
            return trouble(Trouble.STALL, f"sent nothing for {dial.stall_seconds:g} s")
        return trouble(
            Trouble.FIRST_BYTE_TIMEOUT, f"did not answer within {dial.first_byte_seconds:g} s"
        )
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | ssl.CertificateError):
        return trouble(Trouble.TLS, f"failed TLS: {_reason(error)}")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return trouble(Trouble.PROTOCOL, f"is refused by the proxy: {error.status}")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return trouble(Trouble.REFUSED, f"has a proxy that cannot be reached: {_reason(error)}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return trouble(Trouble.REFUSED, f"cannot be connected: {_reason(error)}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return trouble(Trouble.CUT, "cut the transfer")
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError | aiohttp.InvalidURL):
        return trouble(Trouble.PROTOCOL, "does not speak HTTP")
    if isinstance(error, OSError) and error.errno in _REFUSED:
        return trouble(Trouble.REFUSED, f"cannot be connected: {_reason(error)}")
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return trouble(Trouble.CUT, "closed the connection")
    if isinstance(error, ValueError):
        return trouble(Trouble.PROTOCOL, "cannot be asked: a header or the URL is malformed")
    raise error


def _reason(error: Exception) -> str:
    """A short cause without addresses of ours, headers or URLs."""
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    if isinstance(inner, ssl.SSLError):
        return inner.reason or "handshake failed"
    if isinstance(inner, OSError) and inner.errno:
        return os.strerror(inner.errno)
    return type(inner).__name__
