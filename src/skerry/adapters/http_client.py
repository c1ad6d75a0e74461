"""The `Transport`: HTTP/1.1 over asyncio.

Owns the pools of connections, one per `Dial` and origin, so that an upstream in a black hole
starves no other (requirements P1), and the one retry on a kept connection that proves closed.
Holds no policy: follows no redirect, keeps no cookie, undoes no coding, knows no credential; never
reads `.netrc`. RFC 9112 section 9.3.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from skerry.adapters.http_client_connection import READ_BYTES_MAX, ClientConnection
from skerry.adapters.http_client_dialing import Dialling, read_trust
from skerry.adapters.http_client_exchange import Asked, HttpExchange
from skerry.adapters.http_client_head import (
    Framing,
    host_field,
    proxy_fields,
    request_head,
    target_of,
    wants_switch,
)
from skerry.adapters.outgoing_body import send_body
from skerry.adapters.proxies import proxy_for
from skerry.adapters.resolver import NameResolver
from skerry.aio.tasks import Nursery
from skerry.upstream.core.guard import Origin, literal, may_dial, origin_of
from skerry.upstream.ports import Dial, Exchange, TransportError, Trouble
from skerry.wire.message import Headers, Interim

IDLE_SECONDS = 30.0
ORIGINS_MAX = 1024
"""Origins whose connections are kept; the longest unused is let go."""

_RETRIED = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class TransportStatistics:
    """Pools and requests since start."""

    pools: int
    connections: int
    idle: int
    sent: int
    reused: int
    failed: int


class _Pool:
    """What is kept for one origin, reached in one way."""

    def __init__(self, origin: Origin, dial: Dial, dialling: Dialling, proxy: str) -> None:
        self.named = str(origin)
        self.host = host_field(origin)
        self.dial = dial
        self.dialling = dialling
        self.proxy = proxy
        self.idle: list[ClientConnection] = []
        self.closed = False

    def take(self, now: float) -> ClientConnection | None:
        """The connection used last: it is the least likely to be closed over there."""
        while self.idle:
            connection = self.idle.pop()
            if connection.usable() and now - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    def close(self) -> None:
        """Keeps nothing from now on."""
        self.closed = True
        for connection in self.idle:
            connection.abort()


class HttpTransport:
    """Sends requests; close it when the node stops."""

    def __init__(
        self,
        *,
        resolver: NameResolver,
        nursery: Nursery,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._resolver = resolver
        self._nursery = nursery
        self._environment = os.environ if environment is None else environment
        self._pools: OrderedDict[tuple[Dial, Origin], _Pool] = OrderedDict()
        self._live: set[ClientConnection] = set()
        self._tls: dict[str | None, ssl.SSLContext] = {}
        self._buffer = memoryview(bytearray(READ_BYTES_MAX))
        self._sweeping: asyncio.TimerHandle | None = None
        self._sent = self._reused = self._failed = 0

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
        target = target_of(url)
        pool = self._pools.get((dial, origin)) or self._pool(url, origin, dial)
        framing = _framing(method, headers, body)
        through_proxy = pool.dialling.by_absolute_form
        head = request_head(
            method,
            f"http://{pool.host}{target}" if through_proxy else target,
            headers,
            host=pool.host,
            framing=framing,
            more=proxy_fields(pool.proxy) if through_proxy else (),
        )
        asked = Asked(method, pool.named, dial, interim, wants_switch(headers))
        self._sent += 1
        try:
            return await self._send(pool, asked, head, body, framing)
        except TransportError:
            self._failed += 1
            raise

    def statistics(self) -> TransportStatistics:
        """A snapshot."""
        return TransportStatistics(
            pools=len({dial for dial, _ in self._pools}),
            connections=len(self._live),
            idle=sum(len(pool.idle) for pool in self._pools.values()),
            sent=self._sent,
            reused=self._reused,
            failed=self._failed,
        )

    async def close(self) -> None:
        """Ends every connection; may be called twice."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        pools, self._pools = self._pools, OrderedDict()
        for pool in pools.values():
            pool.close()
        for connection in list(self._live):
            connection.abort()
        await asyncio.sleep(0)

    async def _send(
        self,
        pool: _Pool,
        asked: Asked,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        framing: Framing,
    ) -> HttpExchange:
        kept = pool.take(asyncio.get_running_loop().time())
        if kept is not None:
            self._reused += 1
            try:
                return await self._ask(kept, asked, head, body, framing)
            except TransportError as error:
                # Closed over there while the request was on its way (RFC 9112 section 9.3.1).
                stale = error.trouble is Trouble.CUT and not kept.heard
                if not stale or body or asked.method not in _RETRIED:
                    raise
        return await self._ask(await self._dialled(pool), asked, head, body, framing)

    async def _ask(
        self,
        connection: ClientConnection,
        asked: Asked,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        framing: Framing,
    ) -> HttpExchange:
        exchange = connection.ask(asked, head + body if isinstance(body, bytes) else head)
        try:
            if isinstance(body, bytes):
                exchange.bound(asked.dial.first_byte_seconds)
            else:
                sending = send_body(
                    body,
                    length_bytes=framing.length_bytes,
                    taker=connection,
                    exchange=exchange,
                    named=asked.named,
                    dial=asked.dial,
                )
                exchange.upload = self._nursery.start(sending, name="transport.upload")
            await exchange.head()
        except BaseException:
            await exchange.close()
            raise
        return exchange

    async def _dialled(self, pool: _Pool) -> ClientConnection:
        connection = ClientConnection(self._buffer, on_lost=self._lost)
        self._live.add(connection)
        try:
            await pool.dialling.connect(connection)
        except BaseException:
            self._live.discard(connection)
            raise
        connection.on_idle = lambda kept: self._keep(pool, kept)
        return connection

    def _pool(self, url: str, origin: Origin, dial: Dial) -> _Pool:
        """Raises TransportError for what must not be dialled."""
        address = literal(origin.host)
        if not may_dial(origin.host, address, dial.private_hosts, port=origin.port):
            raise TransportError(
                Trouble.FORBIDDEN_ADDRESS,
                f"{origin.host} is an inside address that redirect_hosts or realms must list",
            )
        proxy = proxy_for(url, self._environment) if dial.proxy is None else dial.proxy
        dialling = Dialling(origin, dial, proxy=proxy, names=self._resolver, trust=self._trust)
        pool = self._pools[dial, origin] = _Pool(origin, dial, dialling, proxy)
        if len(self._pools) > ORIGINS_MAX:
            _, oldest = self._pools.popitem(last=False)
            oldest.close()
        return pool

    async def _trust(self, ca_file: str | None) -> ssl.SSLContext:
        context = self._tls.get(ca_file)
        if context is None:
            context = self._tls[ca_file] = await read_trust(ca_file)
        return context

    def _keep(self, pool: _Pool, connection: ClientConnection) -> None:
        if pool.closed:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        pool.idle.append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Closes what nobody wanted for a while, the other side would do it in the wrong moment."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_SECONDS
        for pool in self._pools.values():
            for connection in [one for one in pool.idle if one.idle_since <= oldest]:
                pool.idle.remove(connection)
                connection.abort()
        some = any(pool.idle for pool in self._pools.values())
        self._sweeping = loop.call_later(IDLE_SECONDS / 4, self._sweep) if some else None

    def _lost(self, connection: ClientConnection) -> None:
        self._live.discard(connection)


def _framing(method: str, headers: Headers, body: bytes | AsyncIterator[bytes]) -> Framing:
    """How the body's end will be told. Raises TransportError for a length that is none."""
    if isinstance(body, bytes):
        return Framing(len(body)) if body or method in _WITH_BODY else Framing()
    said = headers.get("Content-Length")
    if said is None:
        return Framing(chunked=True)
    if not (said.isascii() and said.isdigit() and len(said) < 20):
        raise TransportError(Trouble.PROTOCOL, "cannot be asked: its Content-Length is no number")
    return Framing(int(said))
