"""Whether an answer leads a public name inside.

Owns the rule against rebinding: a name that anybody may have registered is no way to the machines
of this network. Which addresses are inside is handed in, so that there is one list of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import dns.name
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from skerry.trust.core.names.values import Kind, Name, RRset

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Rebinding:
    """The rule.

    Attributes:
        inside: whether an address is of this network, this machine or its metadata service.
        hosts: names that may be inside: those that the operator configured.
        domains: names that may be inside with all below them.
    """

    inside: Callable[[Address], bool]
    hosts: frozenset[Name] = frozenset()
    domains: frozenset[Name] = frozenset()

    def allows(self, name: Name) -> bool:
        """Whether a name may be inside."""
        return name in self.hosts or any(name.is_subdomain(each) for each in self.domains)

    def led_inside(self, name: Name, answer: Iterable[RRset]) -> str:
        """The first address inside that a name which may not be there leads to; "" for none."""
        if self.allows(name):
            return ""
        for rrset in answer:
            for address in addresses(rrset):
                if self.inside(ipaddress.ip_address(address)):
                    return address
        return ""


def addresses(rrset: RRset) -> tuple[str, ...]:
    """The addresses of a set; SVCB's hints are addresses too (RFC 9460 section 7.3)."""
    if rrset.rdtype in (Kind.A, Kind.AAAA):
        return tuple(str(cast("A | AAAA", each).address) for each in rrset)
    if rrset.rdtype in (Kind.SVCB, Kind.HTTPS):
        hints = (p for each in rrset for key, p in each.params.items() if int(key) in (4, 6))
        return tuple(str(address) for hint in hints if hint for address in hint.addresses)
    return ()


def names_of(texts: Iterable[str]) -> frozenset[Name]:
    """Names from settings."""
    return frozenset(dns.name.from_text(text) for text in texts if text)
