"""Names to addresses without threads.

Owns the lookups: the hosts file first, then DNS over dnspython's asynchronous resolver, A and AAAA
side by side. A DNS server that hangs costs its asker a bounded wait and no one else anything: no
thread pool is shared (getaddrinfo would). Never decides which address may be dialled:
`GuardedResolver` asks `upstream.core.guard` for that, at the moment of connecting (T5).
RFC 1035, RFC 6761 section 6.3 (localhost), RFC 8305 section 3 (resolution delay).
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.errors import BadInput
from skerry.upstream.core.guard import literal, may_dial
from skerry.upstream.ports import TransportError, Trouble

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver as DnsPython

ADDRESSES_MAX = 16
CACHED_NAMES_MAX = 1024
TTL_SECONDS_MIN = 1.0
TTL_SECONDS_MAX = 60.0
AAAA_DELAY_SECONDS = 0.05
"""How long a found A waits for its AAAA (RFC 8305 section 3)."""
DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class ResolverStatistics:
    """Lookups since start."""

    asked: int
    from_cache: int
    failed: int
    cached_names: int


@dataclass(frozen=True, slots=True)
class _Found:
    """What one query gave: addresses, or why not. `final`: the name itself does not exist."""

    addresses: tuple[str, ...] = ()
    ttl_seconds: float = 0.0
    why: str = ""
    final: bool = False


class NameResolver:
    """Resolves names for all transports of a node.

    `servers` are `ip` or `ip:port`; empty for `/etc/resolv.conf`.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        nursery: Nursery,
        servers: Sequence[str] = (),
        hosts_file: Path = Path("/etc/hosts"),
        aaaa_delay_seconds: float = AAAA_DELAY_SECONDS,
    ) -> None:
        self._clock = clock
        self._nursery = nursery
        self._servers = tuple(_server(text) for text in servers)
        self._hosts_file = hosts_file
        self._aaaa_delay_seconds = aaaa_delay_seconds
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._hosts_stamp: tuple[int, int] | None = None
        self._cache: OrderedDict[str, tuple[tuple[str, ...], float]] = OrderedDict()
        self._asked = 0
        self._from_cache = 0
        self._failed = 0

    async def addresses(self, host: str, *, within_seconds: float) -> tuple[str, ...]:
        """At least one address. Raises TransportError DNS within the time."""
        name = host.lower().rstrip(".")
        if literal(name) is not None:
            return (name,)
        if name == "localhost" or name.endswith(".localhost"):
            return ("127.0.0.1", "::1")
        if known := self._from_hosts(name):
            return known
        cached = self._cache.get(name)
        if cached is not None and self._clock.monotonic() < cached[1]:
            self._from_cache += 1
            return cached[0]
        self._asked += 1
        found = await self._ask(host, within_seconds)
        if not found.addresses:
            self._failed += 1
            raise TransportError(Trouble.DNS, f"{host} cannot be resolved: {found.why}")
        ttl = min(max(found.ttl_seconds, TTL_SECONDS_MIN), TTL_SECONDS_MAX)
        self._cache[name] = (found.addresses, self._clock.monotonic() + ttl)
        self._cache.move_to_end(name)
        if len(self._cache) > CACHED_NAMES_MAX:
            self._cache.popitem(last=False)
        return found.addresses

    def statistics(self) -> ResolverStatistics:
        """A snapshot."""
        return ResolverStatistics(self._asked, self._from_cache, self._failed, len(self._cache))

    async def _ask(self, host: str, within_seconds: float) -> _Found:
        # Late, so that a node that never asks for a name saves the memory; in a thread, because
        # loading it takes longer than a hundred answers from the cache.
        await asyncio.to_thread(import_module, "dns.asyncresolver")
        resolver = self._dnspython(within_seconds)

        def query(kind: str) -> asyncio.Task[_Found]:
            # Configured servers know nothing of this machine's own search domains.
            search = not self._servers
            work = _query(resolver, host, kind, search=search, within_seconds=within_seconds)
            return self._nursery.start(work, name=f"dns {kind}")

        four, six = query("A"), query("AAAA")
        try:
            await asyncio.wait({four, six}, return_when=asyncio.FIRST_COMPLETED)
            if four.done() and not six.done() and (four.result().addresses or four.result().final):
                await asyncio.wait({six}, timeout=self._aaaa_delay_seconds)
            else:
                await asyncio.wait({four, six})
        finally:
            four.cancel()
            six.cancel()
        parts = [t.result() for t in (four, six) if t.done() and not t.cancelled()]
        useful = [part for part in parts if part.addresses]
        if not useful:
            why = next((part.why for part in parts if part.why), "no address")
            asked = ", ".join(str(server) for server in resolver.nameservers)
            return _Found(why=f"{why} (asked {asked})")
        return _Found(
            tuple(a for part in useful for a in part.addresses)[:ADDRESSES_MAX],
            min(part.ttl_seconds for part in useful),
        )

    def _dnspython(self, within_seconds: float) -> DnsPython:
        """A fresh one each time: `/etc/resolv.conf` may have changed with the network."""
        import dns.asyncresolver
        import dns.resolver

        try:
            resolver = dns.asyncresolver.Resolver(configure=not self._servers)
        except dns.resolver.NoResolverConfiguration as error:
            raise TransportError(Trouble.DNS, "/etc/resolv.conf names no server") from error
        if self._servers:
            resolver.nameservers = [ip for ip, _ in self._servers]
            resolver.nameserver_ports = dict(self._servers)
        # Every server gets its turn within the bound, however many hang.
        resolver.timeout = within_seconds / max(1, min(3, len(resolver.nameservers)))
        return resolver

    def _from_hosts(self, name: str) -> tuple[str, ...]:
        try:
            found = self._hosts_file.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp != self._hosts_stamp:
                text = self._hosts_file.read_text(encoding="utf-8", errors="replace")
                self._hosts, self._hosts_stamp = parse_hosts(text), stamp
        except OSError:
            return ()  # no hosts file: DNS is asked
        return self._hosts.get(name, ())


async def _query(
    resolver: DnsPython, host: str, kind: str, *, search: bool, within_seconds: float
) -> _Found:
    import dns.exception
    import dns.resolver

    try:
        answer = await resolver.resolve(host, kind, search=search, lifetime=within_seconds)
    except dns.resolver.NXDOMAIN:
        return _Found(why="no such name", final=True)
    except dns.resolver.NoAnswer:
        return _Found(why="no address")
    except dns.resolver.NoNameservers:
        return _Found(why="every DNS server failed (SERVFAIL or refused)")
    except dns.exception.Timeout:
        return _Found(why=f"no DNS answer within {within_seconds:.1f} s")
    except (dns.exception.DNSException, OSError, ValueError) as error:
        return _Found(why=f"{type(error).__name__}")
    rrset = answer.rrset
    addresses = tuple(str(record.address) for record in answer)
    return _Found(addresses, float(rrset.ttl) if rrset is not None else 0.0)


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Name -> addresses of a hosts file (hosts(5)); what cannot be read is passed over."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if literal(address) is None:
            continue
        for name in (n.lower().rstrip(".") for n in names):
            if address not in found.get(name, ()):
                found[name] = (*found.get(name, ()), address)
    return found


def _server(text: str) -> tuple[str, int]:
    """`192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53` or `2001:db8::1`. Raises BadInput."""
    host, port = text, str(DNS_PORT)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if literal(host) is None or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadInput(f"{text!r} is not a DNS server", next_step="write ip or ip:port")
    return host, int(port)


AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
"""As `socket.getaddrinfo` gives it."""


class GuardedResolver:
    """Gives only addresses that may be dialled, at the moment they are connected to."""

    def __init__(
        self, names: NameResolver, *, private_hosts: frozenset[str], within_seconds: float
    ) -> None:
        self._names = names
        self._private_hosts = private_hosts
        self._within_seconds = within_seconds

    async def resolve(self, host: str, port: int) -> list[AddressInfo]:
        """At least one. Raises TransportError DNS, FORBIDDEN_ADDRESS."""
        found = await self._names.addresses(host, within_seconds=self._within_seconds)
        allowed = [a for a in found if may_dial(host, literal(a), self._private_hosts)]
        if not allowed:
            raise TransportError(
                Trouble.FORBIDDEN_ADDRESS,
                f"{host} resolves to {found[0]}, an inside address that redirect_hosts or realms"
                " must list",
            )
        return [_info(address, port) for address in allowed]


def _info(address: str, port: int) -> AddressInfo:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
