"""Names to addresses without threads.

Owns the lookups of this node's own dials: the hosts file first, then what is held, then DNS, A and
AAAA side by side, and the last known good addresses when DNS has nothing. A DNS server that hangs
costs its asker a bounded wait and no one else anything: no thread pool is shared (getaddrinfo
would). Never decides which address may be dialled: `GuardedResolver` asks `upstream.core.guard` for
that, at the moment of connecting (T5). RFC 1035, RFC 6761 section 6.3 (localhost), RFC 8305 section
3 (resolution delay).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skerry.adapters.dns_lookup import Found, LateResolution, Plan
from skerry.adapters.resolv_conf import ResolvConfFile
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.trust.core.names.servers import read_server
from skerry.trust.ports import NamePin, NamePins, PinsUnusable
from skerry.upstream.core.guard import literal, may_dial
from skerry.upstream.ports import TransportError, Trouble

ADDRESSES_MAX = 16
TTL_SECONDS_MAX = 60.0
"""Of a resolver that was given no lookup of its own."""
AAAA_DELAY_SECONDS = 0.05
"""How long a found A waits for its AAAA (RFC 8305 section 3)."""
STALE_AFTER_SECONDS = 1.8
"""RFC 8767 section 5; but half of a shorter wait, to leave time for the connection."""
STALE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class ResolverStatistics:
    """Lookups since start.

    `last_good`: answered with what was believed last, for want of an answer or because a name is
    held.
    """

    asked: int
    from_cache: int
    failed: int
    last_good: int
    cached_names: int


@dataclass(frozen=True, slots=True)
class LastGood:
    """The hosts that this node cannot do without, and where they were.

    `hosts` are in lower case, without the final dot. Pins older than `seconds_max` are not used,
    unless their name is held.
    """

    pins: NamePins
    hosts: frozenset[str] = field(default_factory=frozenset)
    seconds_max: float = 3 * 86400.0


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
        lookup: LateResolution | None = None,
        last_good: LastGood | None = None,
        search: bool | None = None,
    ) -> None:
        """Without a lookup it makes itself one that checks no signatures. `search`: short names
        are looked for in this machine's own domains; without servers of its own they are. Raises
        BadInput."""
        self._clock = clock
        self._nursery = nursery
        self._resolv_conf = ResolvConfFile()
        self._searches = not servers if search is None else search
        self._hosts_file = hosts_file
        self._aaaa_delay_seconds = aaaa_delay_seconds
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._hosts_stamp: tuple[int, int] | None = None
        self._last_good = last_good
        read = tuple(read_server(text) for text in servers)
        self.lookup = lookup or LateResolution(
            lambda: read or self._resolv_conf.read().servers,
            Plan(ttl_seconds_max=TTL_SECONDS_MAX, domains=(".",)),
            clock=clock,
            nursery=nursery,
            events=Events(clock.now),
            failures=ValidationFailures(Registry()),
        )
        self._asked = 0
        self._failed = 0
        self._last_good_used = 0

    async def addresses(self, host: str, *, within_seconds: float) -> tuple[str, ...]:
        """At least one address. Raises TransportError DNS within the time."""
        name = host.lower().rstrip(".")
        if literal(name) is not None:
            return (name,)
        if name == "localhost" or name.endswith(".localhost"):
            return ("127.0.0.1", "::1")
        if known := self._from_hosts(name):
            return known
        self._asked += 1
        if self._last_good and (hold := self._last_good.pins.hold_of(name)):
            return self._held(name, f"is held: {hold.reason}")
        pin = self._usable_pin(name)
        found = await self._search(name, within_seconds, has_pin=pin is not None)
        if found.addresses:
            self._remember(name, found)
            return found.addresses
        if pin is not None and not (found.final and found.secure):
            self._last_good_used += 1
            return pin.addresses
        self._failed += 1
        asked = ", ".join(self.lookup.asked())
        why = f"{found.why} (asked {asked})"
        raise TransportError(Trouble.DNS, f"{host} cannot be resolved: {why}")

    def statistics(self) -> ResolverStatistics:
        """A snapshot."""
        loaded = self.lookup.loaded
        below = loaded.statistics() if loaded else None
        return ResolverStatistics(
            self._asked,
            below.from_cache if below else 0,
            self._failed,
            self._last_good_used,
            below.kept if below else 0,
        )

    def _usable_pin(self, name: str) -> NamePin | None:
        last_good = self._last_good
        pin = last_good.pins.pin(name) if last_good else None
        if pin is None or last_good is None or self._clock.now() > pin.at + last_good.seconds_max:
            return None
        return pin

    def _held(self, name: str, why: str) -> tuple[str, ...]:
        pin = self._last_good.pins.pin(name) if self._last_good else None
        if pin is None:
            self._failed += 1
            what = f"{name} {why}; where it was before is not known"
            raise TransportError(Trouble.DNS, what)
        self._last_good_used += 1
        return pin.addresses

    def _remember(self, name: str, found: Found) -> None:
        last_good = self._last_good
        if last_good is None or name not in last_good.hosts or found.stale:
            return
        pin = NamePin(name, found.addresses, self._clock.now(), found.secure, found.signed_until)

        async def keep() -> None:
            try:
                await last_good.pins.keep(pin)
            except PinsUnusable:
                pass  # in memory it is; the disk's trouble is told by those who need it

        self._nursery.start(keep(), name="name pin")

    async def _search(self, name: str, within_seconds: float, *, has_pin: bool) -> Found:
        """The name itself; a short one, where the machine says so, in its own domains first."""
        # Configured servers know nothing of this machine's own search domains.
        domains = self._resolv_conf.read().search if self._searches and "." not in name else ()
        found = Found()
        for each in (*(f"{name}.{domain}" for domain in domains), name):
            found = await self._ask(each, within_seconds, has_pin=has_pin)
            if found.addresses:
                break
        return found

    async def _ask(self, name: str, within_seconds: float, *, has_pin: bool) -> Found:
        await self.lookup.ready()
        stale_after = min(STALE_AFTER_SECONDS, within_seconds * STALE_SHARE)
        within = stale_after if has_pin else within_seconds

        def query(kind: str) -> asyncio.Task[Found]:
            work = self.lookup.look(
                name, kind, within_seconds=within, stale_after_seconds=stale_after
            )
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
        return _joined(parts)

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


def _joined(parts: list[Found]) -> Found:
    """Both families as one; without addresses, the first reason."""
    useful = [part for part in parts if part.addresses]
    if not useful:
        return next((part for part in parts if part.why), Found(why="no address"))
    until = [part.signed_until for part in useful if part.signed_until is not None]
    return Found(
        tuple(a for part in useful for a in part.addresses)[:ADDRESSES_MAX],
        min(part.ttl_seconds for part in useful),
        secure=all(part.secure for part in useful),
        signed_until=min(until, default=None),
        stale=any(part.stale for part in useful),
    )


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
        private = self._private_hosts
        allowed = [a for a in found if may_dial(host, literal(a), private, port=port)]
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
