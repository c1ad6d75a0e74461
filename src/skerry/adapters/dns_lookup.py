"""The resolver of a node, loaded when the first question comes.

Owns when: dnspython and cryptography take memory that a node which asks for no name saves, and
loading them takes longer than a hundred answers from the cache, so it is done in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.telemetry.events import Events
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.core.guard import is_inside

if TYPE_CHECKING:
    from skerry.adapters.dns_exchange import NameServerExchange
    from skerry.trust.core.names.servers import Server
    from skerry.trust.resolution import Given, Resolution

LATE = ("skerry.trust.resolution", "skerry.adapters.dns_exchange")


@dataclass(frozen=True, slots=True)
class Plan:
    """How names are resolved.

    Attributes:
        ca_file: authorities trusted for servers that speak TLS, besides the system's.
        anchors: the text of a file of trust anchors, "" for the root's own; None: signatures are
            not checked.
        opportune: they are checked where the servers pass them on.
        unsigned: names below which nothing has to be signed.
        hosts, domains: names that may be at inside addresses; domains with all below them.
        stale_seconds: how long old answers are kept for want of new ones.
        ttl_seconds_max: how long new ones are, at most.
    """

    ca_file: str = ""
    anchors: str | None = None
    opportune: bool = False
    unsigned: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    stale_seconds: float = 3 * 86400.0
    ttl_seconds_max: float = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Found:
    """What one question for addresses gave, or why not.

    Attributes:
        ttl_seconds: what is left of its lifetime.
        final: the name itself does not exist.
        secure: signatures prove it.
        signed_until: when the first of them ends, in seconds since the epoch.
        stale: the last answer, for want of a new one.
    """

    addresses: tuple[str, ...] = ()
    ttl_seconds: float = 0.0
    why: str = ""
    final: bool = False
    secure: bool = False
    signed_until: float | None = None
    stale: bool = False


class LateResolution:
    """A `trust.resolution.Resolution` that may not be there yet."""

    def __init__(
        self,
        servers: Callable[[], tuple[Server, ...]],
        plan: Plan,
        *,
        clock: Clock,
        nursery: Nursery,
        events: Events,
        failures: ValidationFailures,
    ) -> None:
        self._servers = servers
        self._plan = plan
        self._clock = clock
        self._nursery = nursery
        self._events = events
        self._failures = failures
        self._exchange: NameServerExchange | None = None
        self.loaded: Resolution | None = None

    async def ready(self) -> Resolution:
        """The resolver, loaded now if it was not. Raises BadInput for unusable anchors."""
        if self.loaded is None:
            for module in LATE:
                await asyncio.to_thread(import_module, module)
        if self.loaded is None:
            self.loaded = self._made()
        return self.loaded

    async def look(
        self, name: str, kind: str, *, within_seconds: float, stale_after_seconds: float
    ) -> Found:
        """Addresses of a name, `kind` A or AAAA."""
        resolution = await self.ready()
        import dns.exception
        import dns.name

        from skerry.trust.core.names.values import Kind

        try:
            wanted = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError):
            return Found(why="that is no name", final=True)
        given = await resolution.resolve(
            wanted,
            Kind.make(kind),
            within_seconds=within_seconds,
            stale_after_seconds=stale_after_seconds,
            own=True,
        )
        return _found(given)

    def asked(self) -> tuple[str, ...]:
        """What messages call the servers."""
        return self._exchange.names() if self._exchange else ()

    def close(self) -> None:
        """Lets connections go."""
        if self._exchange is not None:
            self._exchange.close()

    def _made(self) -> Resolution:
        from skerry.adapters.dns_exchange import NameServerExchange
        from skerry.adapters.dns_lines import trust_of
        from skerry.trust.core.names.anchors import ROOT, read_anchors
        from skerry.trust.core.names.cache import Policy
        from skerry.trust.core.names.rebinding import Rebinding, names_of
        from skerry.trust.resolution import Resolution

        plan = self._plan
        self._exchange = NameServerExchange(
            self._servers,
            clock=self._clock,
            nursery=self._nursery,
            trust=trust_of(plan.ca_file or None),
        )
        anchors = None
        if plan.anchors is not None:
            anchors = read_anchors(plan.anchors or ROOT, unsigned=plan.unsigned)
        return Resolution(
            self._exchange,
            clock=self._clock,
            nursery=self._nursery,
            events=self._events,
            failures=self._failures,
            rebinding=Rebinding(is_inside, names_of(plan.hosts), names_of(plan.domains)),
            anchors=anchors,
            opportune=plan.opportune,
            policy=Policy(plan.stale_seconds, plan.ttl_seconds_max),
        )


def _found(given: Given) -> Found:
    import dns.rcode

    from skerry.trust.core.names.rebinding import addresses

    answer = given.answer
    if answer is None or given.rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Found(why=given.why.what if given.why else "it failed")
    final = given.rcode == dns.rcode.NXDOMAIN
    wanted = [each for each in answer.answer if each.rdtype == answer.kind]
    return Found(
        addresses=tuple(address for each in wanted for address in addresses(each)),
        ttl_seconds=given.ttl_seconds,
        why="no such name" if final else "" if wanted else "no address",
        final=final,
        secure=given.authentic,
        signed_until=answer.signed_until if given.authentic else None,
        stale=given.stale,
    )
