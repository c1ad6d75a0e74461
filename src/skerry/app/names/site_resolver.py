"""The site's own resolver, from the settings.

Owns the composition. Loaded only where `dns.listen` names an address: it takes dnspython.
"""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING

import dns.name
import dns.rcode
import dns.rrset

from skerry.adapters.dns_door import DnsDoor
from skerry.adapters.resolver import NameResolver
from skerry.app.settings.addresses import split_address
from skerry.trust.core.names.asking import DEFAULT_CLIENTS
from skerry.trust.core.names.local import LocalNames
from skerry.trust.core.names.values import Answer, Ede, Kind, Name, Why
from skerry.trust.ports import NamePins
from skerry.trust.stub import Stub

if TYPE_CHECKING:
    from skerry.app.site import Site

HELD_TTL_SECONDS = 30


async def open_site_resolver(node: Site, names: NameResolver, pins: NamePins) -> list[DnsDoor]:
    """Listens at every address of `dns.listen`. Raises DnsDoorError."""
    settings = node.settings.dns
    resolution = await names.lookup.ready()
    local = LocalNames({each.name: each.addresses for each in settings.local})
    networks = tuple(ipaddress.ip_network(text) for text in settings.clients) or DEFAULT_CLIENTS
    stub = Stub(
        resolution,
        local=local,
        clients=networks,
        cookie_secret=secrets.token_bytes(16),
        clock=node.clock,
        events=node.events,
        failures=node.failures,
        held=lambda name, kind: held_answer(pins, name, kind),
    )
    resolution.on_denied = stub.denied
    doors = []
    for text in settings.listen:
        host, port = split_address(text)
        door = DnsDoor(stub, host, port, nursery=node.nursery)
        await door.open()
        node.ends.callback(door.close)
        doors.append(door)
    _gauge(node, stub)
    return doors


OUTCOMES = ("all", "refused", "short", "dropped", "flooded")


def held_answer(pins: NamePins, name: Name, kind: Kind) -> Answer | None:
    """What is said of a name that is held: where it was last; None for names that are not."""
    text = name.to_text(omit_final_dot=True)
    hold = pins.hold_of(text) if len(name) > 1 else None
    if hold is None:
        return None
    pin = pins.pin(text)
    family = {Kind.A: 4, Kind.AAAA: 6}.get(kind)
    why = Why(Ede.STALE_ANSWER, f"{hold.name} is held: {hold.reason}")
    if pin is None or family is None:
        blocked = Why(Ede.BLOCKED, f"{hold.name} is held: {hold.reason}")
        return Answer(name, kind, dns.rcode.SERVFAIL, why=blocked)
    found = [each for each in pin.addresses if ipaddress.ip_address(each).version == family]
    sets = [dns.rrset.from_text(name, HELD_TTL_SECONDS, "IN", kind, *found)] if found else []
    return Answer(name, kind, dns.rcode.NOERROR, tuple(sets), ttl_seconds=HELD_TTL_SECONDS, why=why)


def _gauge(node: Site, stub: Stub) -> None:
    def questions() -> dict[tuple[str, ...], float]:
        found = stub.statistics()
        return {
            ("all",): found.questions,
            ("refused",): found.refused,
            ("short",): found.short,
            ("dropped",): found.dropped,
            ("flooded",): found.flooded,
        }

    node.metrics.tally(
        "skerry_dns_site_questions",
        "Questions to the site's resolver since start, and those without an answer, by why.",
        questions,
        {"outcome": OUTCOMES},
    )
