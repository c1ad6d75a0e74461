"""From an origin to a connection that speaks with it.

Owns names, TCP, TLS and the way through a proxy, within one bound, and what goes wrong on that way
by name. What may be dialled is judged at the moment of connecting (`GuardedResolver`), and what a
proxy may be asked to dial as far as this machine can see it (known failures T5). RFC 8305
(several addresses), RFC 9110 section 9.3.6 (CONNECT), RFC 6066 section 3 (SNI).
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar, cast

from aiohappyeyeballs import start_connection

from skerry.adapters.http_client_connection import ClientConnection
from skerry.adapters.http_client_exchange import Asked
from skerry.adapters.http_client_head import Framing, proxy_fields, request_head
from skerry.adapters.resolver import GuardedResolver, NameResolver
from skerry.upstream.core.guard import PORTS, Origin, is_listed, literal, may_dial, origin_of
from skerry.upstream.ports import Dial, TransportError, Trouble
from skerry.wire.message import NO_HEADERS

DNS_SHARE = 0.8
"""Of the connect time: a hanging DNS server is told from a host that does not answer."""
PROXIED_DNS_SHARE = 0.25
"""Of the connect time, for a look at where a name leads that a proxy is going to resolve."""
HAPPY_EYEBALLS_SECONDS = 0.25
"""Until the next address is tried beside the first (RFC 8305 section 5)."""

T = TypeVar("T")


class Dialling:
    """Makes connections to one origin."""

    def __init__(
        self,
        origin: Origin,
        dial: Dial,
        *,
        proxy: str,
        names: NameResolver,
        trust: Callable[[str | None], Awaitable[ssl.SSLContext]],
    ) -> None:
        self._origin = origin
        self._dial = dial
        self._proxy = proxy
        self._proxy_origin = proxy_origin(proxy) if proxy else None
        self._first = self._proxy_origin or origin
        self._trust = trust
        # Through a proxy only the proxy is resolved here, and it is configured.
        private = frozenset({self._first.host}) if proxy else dial.private_hosts
        self._names = names
        self._resolver = GuardedResolver(
            names, private_hosts=private, within_seconds=dial.connect_seconds * DNS_SHARE
        )

    @property
    def by_absolute_form(self) -> bool:
        """Whether requests name the whole URL (RFC 9112 section 3.2.2)."""
        return bool(self._proxy) and self._origin.scheme == "http"

    async def connect(self, connection: ClientConnection) -> None:
        """Connects within the bound. Raises TransportError."""
        named, secure = str(self._origin), self._origin.scheme == "https"
        first_tls = self._first.scheme == "https"
        context = await self._trust(self._dial.ca_file) if secure or first_tls else None
        try:
            async with asyncio.timeout(self._dial.connect_seconds):
                if self._proxy:
                    private, seconds = self._dial.private_hosts, self._dial.connect_seconds
                    await look_ahead(self._names, self._origin, private, seconds)
                sock = await self._reach(named)
                outer = context if first_tls else None
                await self._handshake(named, self._adopt(connection, sock, outer))
                if self._proxy and secure:
                    await self._tunnel(named, connection)
                    assert context is not None  # noqa: S101
                    await self._handshake(named, self._secure(connection, context))
        except TimeoutError:
            connection.abort()
            raise TransportError(
                Trouble.CONNECT_TIMEOUT,
                f"{named} did not connect within {self._dial.connect_seconds:g} s",
            ) from None
        except BaseException:
            connection.abort()
            raise

    async def _reach(self, named: str) -> socket.socket:
        infos = await self._resolver.resolve(self._first.host, self._first.port)
        try:
            return await start_connection(
                infos, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS, interleave=1
            )
        except OSError as error:
            what = "has a proxy that cannot be reached" if self._proxy else "cannot be connected"
            raise TransportError(Trouble.REFUSED, f"{named} {what}: {reason(error)}") from error

    async def _adopt(
        self, connection: ClientConnection, sock: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        loop, host = asyncio.get_running_loop(), self._first.host
        if context is None:
            await loop.create_connection(lambda: connection, sock=sock)
        else:
            await loop.create_connection(
                lambda: connection, sock=sock, ssl=context, server_hostname=host
            )

    async def _secure(self, connection: ClientConnection, context: ssl.SSLContext) -> None:
        loop, plain = asyncio.get_running_loop(), connection.transport
        assert plain is not None  # noqa: S101
        transport = await loop.start_tls(
            plain, connection, context, server_hostname=self._origin.host
        )
        connection.transport = cast(asyncio.Transport, transport)

    async def _handshake(self, named: str, work: Awaitable[T]) -> T:
        try:
            return await work
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise TransportError(Trouble.TLS, f"{named} failed TLS: {reason(error)}") from error
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            what = f"{named} closed the connection: {reason(error)}"
            raise TransportError(Trouble.CUT, what) from error

    async def _tunnel(self, named: str, connection: ClientConnection) -> None:
        host = self._origin.host
        authority = f"[{host}]" if ":" in host else host
        authority = f"{authority}:{self._origin.port}"
        head = request_head(
            "CONNECT",
            authority,
            NO_HEADERS,
            host=authority,
            framing=Framing(),
            more=proxy_fields(self._proxy),
        )
        exchange = connection.ask(Asked("CONNECT", named, self._dial), head)
        await exchange.head()
        if not 200 <= exchange.status < 300:
            raise TransportError(
                Trouble.PROTOCOL, f"{named} is refused by the proxy: {exchange.status}"
            )
        if not connection.usable():
            raise TransportError(Trouble.PROTOCOL, f"{named} has a proxy that speaks out of turn")
        connection.used = False


async def look_ahead(
    names: NameResolver, origin: Origin, private_hosts: frozenset[str], connect_seconds: float
) -> None:
    """Refuses what a proxy may not be asked for: a name that is not configured and leads inside
    from here. Raises TransportError.

    The proxy resolves it again, and any of the addresses may be the one: a single inside one is
    enough. Behind a proxy there often is no DNS for the world; then the proxy's own rules are all
    there is.
    """
    host, port = origin.host, origin.port
    if is_listed(host, port, private_hosts):
        return
    try:
        found = await names.addresses(host, within_seconds=connect_seconds * PROXIED_DNS_SHARE)
    except TransportError:
        return
    for address in found:
        if not may_dial(host, literal(address), private_hosts, port=port):
            raise TransportError(
                Trouble.FORBIDDEN_ADDRESS,
                f"{host} resolves to {address}, an inside address that redirect_hosts or realms"
                " must list, for a proxy too",
            )


async def read_trust(ca_file: str | None) -> ssl.SSLContext:
    """The system's trust and the configured bundle; always verifying (T8). Raises TransportError.

    Reading them takes longer than a hundred answers from the cache: it is done in a thread.
    """
    return await asyncio.to_thread(_read_trust, ca_file)


def _read_trust(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(Path(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise TransportError(
                Trouble.TLS, f"the ca_file {ca_file} cannot be read: {error}"
            ) from error
    return context


def reason(error: Exception) -> str:
    """A short cause without addresses of ours, headers or URLs."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return error.reason or "handshake failed"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return type(error).__name__


def proxy_origin(proxy: str) -> Origin:
    """Where a proxy listens; its URL may hold credentials. Raises TransportError."""
    scheme, _, rest = proxy.partition("://")
    authority = rest.partition("/")[0].rpartition("@")[2]
    found = origin_of(f"{scheme}://{authority}/") if scheme in PORTS else None
    if found is None:
        raise TransportError(Trouble.PROTOCOL, "has a proxy that is no http or https URL")
    return found
