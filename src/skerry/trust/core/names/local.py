"""Names that the site's resolver answers by itself: its own, and those that lead nowhere outside.

Owns split horizon and special names. RFC 6761 (localhost, invalid), RFC 6762 (local), RFC 7686
(onion).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

import dns.name
import dns.rcode
import dns.reversename
import dns.rrset

from skerry.trust.core.names.values import Answer, Kind, Name, RRset, Security

TTL_SECONDS = 60
_LOCALHOST = dns.name.from_text("localhost.")
_NOWHERE = tuple(dns.name.from_text(text) for text in ("invalid.", "onion.", "local."))
_FAMILIES = {Kind.A: 4, Kind.AAAA: 6}


class LocalNames:
    """Names to addresses, from the settings; `*.` in front stands for every name below."""

    def __init__(self, names: Mapping[str, tuple[str, ...]]) -> None:
        self._names: dict[Name, tuple[str, ...]] = {}
        self._wild: dict[Name, tuple[str, ...]] = {}
        self._back: dict[Name, Name] = {}
        for text, addresses in names.items():
            name = dns.name.from_text(text.removeprefix("*."))
            (self._wild if text.startswith("*.") else self._names)[name] = addresses
            if not text.startswith("*."):
                for address in addresses:
                    self._back.setdefault(dns.reversename.from_address(address), name)

    def answer(self, name: Name, kind: Kind) -> Answer | None:
        """What is known of a question here; None when others are to be asked."""
        if name.is_subdomain(_LOCALHOST):
            return _addressed(name, kind, ("127.0.0.1", "::1"))
        addresses = self._names.get(name)
        above = name
        while addresses is None and len(above) > 1:
            above = above.parent()
            addresses = self._wild.get(above)
        if addresses is not None:
            return _addressed(name, kind, addresses)
        if name in self._back and kind == Kind.PTR:
            target = self._back[name].to_text()
            return _given(name, kind, [dns.rrset.from_text(name, TTL_SECONDS, "IN", kind, target)])
        if any(name.is_subdomain(each) for each in _NOWHERE):
            return Answer(
                name, kind, dns.rcode.NXDOMAIN, ttl_seconds=TTL_SECONDS,
                security=Security.INDETERMINATE,
            )  # fmt: skip
        return None


def _addressed(name: Name, kind: Kind, addresses: tuple[str, ...]) -> Answer:
    family = _FAMILIES.get(kind)
    found = [each for each in addresses if ipaddress.ip_address(each).version == family]
    sets = [dns.rrset.from_text(name, TTL_SECONDS, "IN", kind, *found)] if found else []
    return _given(name, kind, sets)


def _given(name: Name, kind: Kind, sets: list[RRset]) -> Answer:
    return Answer(name, kind, dns.rcode.NOERROR, tuple(sets), ttl_seconds=float(TTL_SECONDS))
