"""A way out for a library that dials by itself.

Owns a proxy on loopback that such a library is pointed at, so that what it dials (its redirects
too) goes by the same guard as all else: the address that was judged is the one that is connected to
(known failures T4, T5, T7). Reads the first head of a connection and no more; what follows goes to
that one place, unread. RFC 9110 section 9.3.6 (CONNECT), RFC 9112 section 3.2.2.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

from aiohappyeyeballs import start_connection

from skerry.adapters.http_client_dialing import (
    DNS_SHARE,
    HAPPY_EYEBALLS_SECONDS,
    look_ahead,
    proxy_origin,
    read_trust,
    reason,
)
from skerry.adapters.http_client_head import proxy_fields
from skerry.adapters.proxies import proxy_for
from skerry.adapters.resolver import GuardedResolver, NameResolver
from skerry.aio.tasks import Nursery
from skerry.upstream.core.guard import Origin, literal, may_dial, origin_of
from skerry.upstream.ports import TransportError, Trouble

HEAD_BYTES_MAX = 64 * 1024
HEAD_SECONDS_MAX = 10.0
CONNECTIONS_MAX = 128
CHUNK_BYTES = 256 * 1024
REFUSAL = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""Not 403: that is what a store says about credentials."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class GuardedWay:
    """The proxy. `open` it before the library is made; `close` ends every connection."""

    def __init__(
        self,
        *,
        names: NameResolver,
        nursery: Nursery,
        private_hosts: frozenset[str],
        plain_http: bool,
        connect_seconds: float,
        refused: Callable[[TransportError], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`private_hosts` as in `Dial`. `plain_http`: whether anything may go unencrypted.
        `refused` is told of what was not dialled."""
        self._names = names
        self._nursery = nursery
        self._private_hosts = private_hosts
        self._plain_http = plain_http
        self._connect_seconds = connect_seconds
        self._refused = refused
        self._environment = os.environ if environment is None else environment
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._count = 0

    def open(self) -> str:
        """Begins to listen; the URL for the library. Raises OSError."""
        listening = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS_MAX)
        self._nursery.start(self._listen(listening), name="guarded way")
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    async def close(self) -> None:
        """Ends it."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _listen(self, listening: socket.socket) -> None:
        self._server = await asyncio.start_server(
            self._accepted, sock=listening, limit=HEAD_BYTES_MAX
        )

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._count >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._count += 1
        self._nursery.start(self._serve(reader, writer), name="guarded way")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(HEAD_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
            opened, head = await self._reached(head, writer)
            far = opened[1]
            self._open.add(far)
            far.write(head)
            await asyncio.gather(_copied(reader, far), _copied(opened[0], writer))
        except TransportError as error:
            self._refused(error)
            with suppress(OSError):
                writer.write(REFUSAL)
                await writer.drain()
        except (OSError, ValueError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._count -= 1
            for each in (writer, far):
                if each is not None:
                    self._open.discard(each)
                    each.close()

    async def _reached(self, head: bytes, writer: asyncio.StreamWriter) -> tuple[Streams, bytes]:
        """A connection to where a first head wants to go, and what to send there first."""
        method, _, rest = head.partition(b" ")
        target = rest.partition(b" ")[0].decode("latin-1")
        tunnel = method == b"CONNECT"
        origin = origin_of(f"https://{target}/" if tunnel else target)
        if origin is None or (origin.scheme == "http" and not self._plain_http):
            raise TransportError(
                Trouble.FORBIDDEN_ADDRESS, "is asked for in the clear, or for none"
            )
        streams, proxied = await self._dialled(origin)
        if tunnel:
            if proxied:
                await _through(streams, origin, proxied)
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            return streams, b""
        first, _, fields = head.partition(b"\r\n")
        own = b"".join(
            f"{name}: {value}\r\n".encode("latin-1") for name, value in proxy_fields(proxied)
        )
        return streams, first + b"\r\n" + own + fields

    async def _dialled(self, origin: Origin) -> tuple[Streams, str]:
        """Streams to the origin, or to the proxy that leads to it, and that proxy's URL."""
        proxy = proxy_for(str(origin), self._environment)
        first, private = origin, self._private_hosts
        if not may_dial(origin.host, literal(origin.host), private, port=origin.port):
            what = f"{origin} is an inside address that is not configured"
            raise TransportError(Trouble.FORBIDDEN_ADDRESS, what)
        try:
            async with asyncio.timeout(self._connect_seconds):
                if proxy:
                    await look_ahead(self._names, origin, private, self._connect_seconds)
                    first = proxy_origin(proxy)
                    private = frozenset({first.host})
                resolver = GuardedResolver(
                    self._names,
                    private_hosts=private,
                    within_seconds=self._connect_seconds * DNS_SHARE,
                )
                infos = await resolver.resolve(first.host, first.port)
                sock = await start_connection(
                    infos, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS, interleave=1
                )
                tls = await read_trust(None) if proxy and first.scheme == "https" else None
                name = first.host if tls else None
                opened = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name)
        except TimeoutError as error:
            what = f"{origin} did not connect within {self._connect_seconds:g} s"
            raise TransportError(Trouble.CONNECT_TIMEOUT, what) from error
        except OSError as error:
            what = f"{origin} cannot be connected: {reason(error)}"
            raise TransportError(Trouble.REFUSED, what) from error
        return opened, proxy


async def _through(streams: Streams, origin: Origin, proxy: str) -> None:
    """Has an outer proxy make a tunnel. Raises TransportError."""
    reader, writer = streams
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    place = f"{host}:{origin.port}"
    fields = [("Host", place), *proxy_fields(proxy)]
    lines = [f"CONNECT {place} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    async with asyncio.timeout(HEAD_SECONDS_MAX):
        head = await reader.readuntil(b"\r\n\r\n")
    if head.split(b" ", 2)[1][:1] != b"2":
        writer.close()
        raise TransportError(Trouble.PROTOCOL, f"{origin} is refused by the proxy")


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All there is, then the end."""
    with suppress(OSError):
        while piece := await reader.read(CHUNK_BYTES):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
