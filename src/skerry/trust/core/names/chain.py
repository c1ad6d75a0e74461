"""From a trust anchor down to the zone of a name.

Owns the walk: one DS after the other, and what each says of the next zone. Asks by yielding
(`values.Ask`), so whoever drives it decides where the answers come from. RFC 4035 section 5.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass
from typing import cast

from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS

from skerry.trust.core.names.anchors import Anchor, Anchors
from skerry.trust.core.names.denial import Cut, Denial
from skerry.trust.core.names.signatures import Checked, Work, check, matching, supported, usable
from skerry.trust.core.names.values import (
    Ask,
    Ede,
    Kind,
    Message,
    Name,
    RRset,
    Security,
    Unanswered,
    Why,
    sections,
    signatures,
)

KNOWN_MAX = 4096
KNOWN_SECONDS_MAX = 3600.0
BOGUS_SECONDS = 30.0
LABELS_MAX = 40
"""Of a name whose zone is looked for; an address of IPv6 has 34."""


@dataclass(frozen=True, slots=True)
class Zone:
    """What is known of a zone: its keys when it is secure, why not when it is not.

    Attributes:
        until: seconds since the epoch; after it, it is found out anew.
        signed_until: when the first signature on the way to it ends; 0 without.
    """

    name: Name
    security: Security
    keys: tuple[DNSKEY, ...] = ()
    why: Why | None = None
    until: float = 0.0
    signed_until: float = 0.0


@dataclass(frozen=True, slots=True)
class NoCut:
    """No zone begins at a name; `nothing`: nor at any name below."""

    nothing: bool
    until: float


Walking = Generator[Ask, "Message | None", Zone]
Looking = Generator[Ask, "Message | None", "Zone | NoCut"]


class Known:
    """What walks have found out and may be used again; bounded, the oldest go."""

    def __init__(self) -> None:
        self._found: OrderedDict[Name, Zone | NoCut] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, name: Name, now: float) -> Zone | NoCut | None:
        """What is known of a cut at a name and still holds."""
        found = self._found.get(name)
        return found if found is not None and now < found.until else None

    def put(self, name: Name, found: Zone | NoCut) -> None:
        """Keeps it."""
        self._found[name] = found
        self._found.move_to_end(name)
        if len(self._found) > KNOWN_MAX:
            self._found.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Walk:
    """What one question's walk has at hand."""

    anchors: Anchors
    known: Known
    now: float
    work: Work

    def zone_of(self, name: Name) -> Walking:
        """The zone that a name lies in, as far down as it can be believed. Raises Unanswered."""
        anchor = self.anchors.above(name)
        if anchor is None:
            return Zone(name, Security.INDETERMINATE, until=self.now)
        zone = yield from self._anchored(anchor)
        depth = len(anchor.zone)
        while zone.security is Security.SECURE and depth < len(name):
            depth += 1
            if depth > LABELS_MAX:
                return self._bogus(name, Why(Ede.BOGUS, f"{name} has too many labels"))
            below = name.split(depth)[1]
            found = self.known.get(below, self.now)
            if found is None:
                found = yield from self._look(below, zone)
                self.known.put(below, found)
            if isinstance(found, Zone):
                zone = found
            elif found.nothing:
                break
        return zone

    def _anchored(self, anchor: Anchor) -> Walking:
        known = self.known.get(anchor.zone, self.now)
        if isinstance(known, Zone):
            return known
        zone = yield from self._keys(anchor.zone, anchor.ds, anchor.keys, KNOWN_SECONDS_MAX)
        self.known.put(anchor.zone, zone)
        return zone

    def _look(self, name: Name, zone: Zone) -> Looking:
        """Whether a zone begins at a name, and which. Raises Unanswered."""
        reply = yield Ask(name, Kind.DS)
        if reply is None:
            raise Unanswered(Ask(name, Kind.DS))
        ds = sections(reply.answer, name, Kind.DS)
        if ds is None:
            return self._no_ds(name, zone, reply)
        checked = self._check(ds, reply.answer, zone)
        if checked.why is not None:
            return self._bogus(name, checked.why)
        found = cast("list[DS]", list(ds))
        if not any(supported(each) for each in found):
            unknown = Why(Ede.UNSUPPORTED_ALGORITHM, f"nobody here can check what signs {name}")
            return self._unsigned(name, unknown, checked.ttl_seconds)
        child = yield from self._keys(name, tuple(found), (), checked.ttl_seconds)
        return child

    def _no_ds(self, name: Name, zone: Zone, reply: Message) -> Zone | NoCut:
        if alias := sections(reply.answer, name, Kind.CNAME):
            checked = self._check(alias, reply.answer, zone)
            if checked.why is not None:
                return self._bogus(name, checked.why)
            return NoCut(nothing=False, until=self._until(checked.ttl_seconds))
        proven, ttl, why = self.proven(reply.authority, zone)
        match Denial(zone.name, proven).cut(name):
            case Cut.NONE:
                return NoCut(nothing=False, until=self._until(ttl))
            case Cut.NO_NAME:
                return NoCut(nothing=True, until=self._until(ttl))
            case Cut.UNSIGNED:
                return self._unsigned(name, None, ttl)
            case Cut.ITERATIONS:
                why = Why(Ede.ITERATIONS, f"the NSEC3 of {zone.name} take too many iterations")
                return self._unsigned(name, why, ttl)
        what = f"{zone.name} proves neither that {name} is signed nor that it is not"
        return self._bogus(name, why or Why(Ede.NSEC_MISSING, what))

    def proven(self, rrsets: list[RRset], zone: Zone) -> tuple[list[RRset], float, Why | None]:
        """The NSEC and NSEC3 records that a zone has signed, the shortest of their lifetimes, and
        what was wrong with one that it has not."""
        found: list[RRset] = []
        ttl, why = KNOWN_SECONDS_MAX, None
        for rrset in rrsets:
            if rrset.rdtype not in (Kind.NSEC, Kind.NSEC3):
                continue
            checked = self._check(rrset, rrsets, zone)
            if checked.why is None:
                found.append(rrset)
                ttl = min(ttl, checked.ttl_seconds)
            else:
                why = checked.why
        return found, ttl, why

    def _keys(
        self, name: Name, ds: tuple[DS, ...], pinned: tuple[DNSKEY, ...], ttl: float
    ) -> Walking:
        """A zone by its DNSKEY set. Raises Unanswered."""
        reply = yield Ask(name, Kind.DNSKEY)
        if reply is None:
            raise Unanswered(Ask(name, Kind.DNSKEY))
        rrset = sections(reply.answer, name, Kind.DNSKEY)
        if rrset is None:
            return self._bogus(name, Why(Ede.DNSKEY_MISSING, f"{name} has no DNSKEY"))
        keys = usable(rrset)
        named = (*matching(ds, keys, name), *(each for each in keys if each in pinned))
        if not named:
            what = f"no DNSKEY of {name} is the one that its parent's DS names"
            return self._bogus(name, Why(Ede.DNSKEY_MISSING, what))
        signed = signatures(reply.answer, name, Kind.DNSKEY)
        checked = check(rrset, signed, keys=named, zone=name, now=self.now, work=self.work)
        if checked.why is not None:
            return self._bogus(name, checked.why)
        until = self._until(min(ttl, checked.ttl_seconds))
        return Zone(name, Security.SECURE, keys, until=until, signed_until=checked.until)

    def _check(self, rrset: RRset, section: list[RRset], zone: Zone) -> Checked:
        signed = signatures(section, rrset.name, rrset.rdtype)
        return check(rrset, signed, keys=zone.keys, zone=zone.name, now=self.now, work=self.work)

    def _until(self, ttl_seconds: float) -> float:
        return self.now + min(ttl_seconds, KNOWN_SECONDS_MAX)

    def _bogus(self, name: Name, why: Why) -> Zone:
        return Zone(name, Security.BOGUS, why=why, until=self.now + BOGUS_SECONDS)

    def _unsigned(self, name: Name, why: Why | None, ttl_seconds: float) -> Zone:
        return Zone(name, Security.INSECURE, why=why, until=self._until(ttl_seconds))
