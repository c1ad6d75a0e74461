"""Whether proven NSEC and NSEC3 records deny what an answer says is not there.

Owns the proofs. Every record it is given was signed by the zone; it never checks signatures.
RFC 4035 section 5.4, RFC 5155 section 8, RFC 6840 section 4, RFC 9276 (iterations).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import cast

import dns.name
from dns.rdtypes.ANY.NSEC import NSEC
from dns.rdtypes.ANY.NSEC3 import NSEC3

from skerry.trust.core.names.values import Kind, Name, RRset

ITERATIONS_MAX = 150
"""More, and the zone counts as unsigned: each costs everybody, and buys nothing (RFC 9276)."""
HASHES_MAX = 64
"""For one proof (CVE-2023-50868)."""


class Denied(Enum):
    """What is proven of a name and type."""

    NO_NAME = "there is no such name"
    NO_TYPE = "the name has no such type"
    INSECURE = "it lies where a zone need not be signed"
    ITERATIONS = "its NSEC3 takes more iterations than are followed"
    NOT_PROVEN = "nothing"


class Cut(Enum):
    """What a missing DS says of a name."""

    NONE = "no zone begins here"
    NO_NAME = "there is no such name, nor any below"
    UNSIGNED = "an unsigned zone begins here, or may"
    ITERATIONS = "nobody follows so many iterations"
    NOT_PROVEN = "nothing is proven"


_WILD = dns.name.Name((b"*",))


class Denial:
    """What the authority section of one answer proves, for one zone."""

    def __init__(self, zone: Name, rrsets: Sequence[RRset]) -> None:
        self._zone = zone
        self._nsecs = [
            (each.name, cast(NSEC, each[0])) for each in rrsets if each.rdtype == Kind.NSEC
        ]
        hashed = [each for each in rrsets if each.rdtype == Kind.NSEC3]
        self._hashed = Hashed(zone, hashed) if hashed else None

    def of(self, name: Name, kind: Kind) -> Denied:
        """What is proven of a name and type."""
        if self._hashed is not None:
            return self._hashed.of(name, kind)
        for owner, nsec in self._nsecs:
            if owner == name:
                lacks = lacks_type(nsec, kind, root=name == dns.name.root)
                return Denied.NO_TYPE if lacks else Denied.NOT_PROVEN
        covering = self._covering(name)
        if covering is None:
            return Denied.NOT_PROVEN
        owner, nsec = covering
        if nsec.next.is_subdomain(name):
            return Denied.NO_TYPE  # an empty non-terminal: only names below it exist
        wild = self._wildcard(name, owner, nsec)
        for other, denying in self._nsecs:
            if other == wild:
                lacks = lacks_type(denying, kind)
                return Denied.NO_TYPE if lacks else Denied.NOT_PROVEN
        return Denied.NO_NAME if self._covering(wild) is not None else Denied.NOT_PROVEN

    def of_closer(self, name: Name, labels: int) -> Denied:
        """Whether nothing closer than a wildcard of so many labels matches a name.

        NO_NAME when that is proven (RFC 4035 section 5.3.4).
        """
        if self._hashed is not None:
            return self._hashed.of_closer(name, labels)
        covering = self._covering(name)
        if covering is None or covering[1].next.is_subdomain(name):
            return Denied.NOT_PROVEN
        encloser = _common(name, *covering)
        return Denied.NO_NAME if len(encloser) - 1 <= labels else Denied.NOT_PROVEN

    def cut(self, name: Name) -> Cut:
        """What these records say of a zone cut at a name without DS."""
        if self._hashed is not None:
            return self._hashed.cut(name)
        for owner, nsec in self._nsecs:
            if owner == name:
                return cut_of(nsec, Kind.DS)
        covering = self._covering(name)
        if covering is None:
            return Cut.NOT_PROVEN
        return Cut.NONE if covering[1].next.is_subdomain(name) else Cut.NO_NAME

    def _covering(self, name: Name) -> tuple[Name, NSEC] | None:
        return next(((o, n) for o, n in self._nsecs if covers(o, n, name, self._zone)), None)

    def _wildcard(self, name: Name, owner: Name, nsec: NSEC) -> Name:
        return _WILD.concatenate(_common(name, owner, nsec))


def _common(name: Name, owner: Name, nsec: NSEC) -> Name:
    """The closest encloser that a covering NSEC shows: the longest name that both share."""
    shared = max(name.fullcompare(owner)[2], name.fullcompare(nsec.next)[2])
    return name.split(shared)[1]


def covers(owner: Name, nsec: NSEC, name: Name, zone: Name) -> bool:
    """Whether an NSEC of a zone proves that a name is not in it."""
    if not name.is_subdomain(zone) or name == owner:
        return False
    if name.is_subdomain(owner) and _hides_what_is_below(nsec):
        return False
    if owner < nsec.next:
        return bool(owner < name < nsec.next)
    return bool(nsec.next == zone and name > owner)  # the last one of the zone


def lacks_type(record: NSEC | NSEC3, kind: Kind, *, root: bool = False) -> bool:
    """Whether the record at a name denies a type there."""
    if _has(record, kind) or _has(record, Kind.CNAME):
        return False
    delegated = _has(record, Kind.NS) and not _has(record, Kind.SOA)
    if kind == Kind.DS:
        # The child's own record knows nothing of what its parent says; the root has no parent.
        return root or not _has(record, Kind.SOA)
    return not delegated


def cut_of(record: NSEC | NSEC3, kind: Kind) -> Cut:
    """What the record at a name says of a zone cut there."""
    if _has(record, kind) or _has(record, Kind.SOA):
        return Cut.NOT_PROVEN  # there is a DS, or this is the child's side of the cut
    return Cut.UNSIGNED if _has(record, Kind.NS) else Cut.NONE


def _hides_what_is_below(record: NSEC | NSEC3) -> bool:
    """RFC 6840 section 4.1: the parent's side of a cut, or a DNAME, says nothing of names below."""
    delegated = _has(record, Kind.NS) and not _has(record, Kind.SOA)
    return delegated or _has(record, Kind.DNAME)


def _has(record: NSEC | NSEC3, kind: Kind) -> bool:
    window, bit = divmod(int(kind), 256)
    for number, bitmap in record.windows:
        if number == window:
            byte, offset = divmod(bit, 8)
            return byte < len(bitmap) and bool(bitmap[byte] & (0x80 >> offset))
    return False


@dataclass(frozen=True, slots=True)
class _Link:
    """One NSEC3: its own hash, the next one, and what is at the name."""

    at: bytes
    record: NSEC3

    @property
    def opt_out(self) -> bool:
        return bool(self.record.flags & 1)

    def covers(self, wanted: bytes) -> bool:
        following: bytes = self.record.next
        if self.at < following:
            return self.at < wanted < following
        return wanted > self.at or wanted < following


class Hashed:
    """The NSEC3 records of one zone that share a salt and count of iterations."""

    def __init__(self, zone: Name, rrsets: Sequence[RRset]) -> None:
        self._zone = zone
        self._hashes: dict[Name, bytes] = {}
        self._links: list[_Link] = []
        first: NSEC3 | None = None
        for rrset in rrsets:
            record = cast(NSEC3, rrset[0])
            if rrset.name.parent() != zone or record.algorithm != 1 or record.flags & ~1:
                continue  # RFC 5155 section 8.2: unknown flags and algorithms are passed over
            first = first or record
            if (record.salt, record.iterations) != (first.salt, first.iterations):
                continue
            try:
                at = base64.b32hexdecode(rrset.name.labels[0].upper())
            except ValueError:
                continue
            self._links.append(_Link(at, record))
        self._first = first

    @property
    def too_many(self) -> bool:
        return self._first is not None and self._first.iterations > ITERATIONS_MAX

    def of(self, name: Name, kind: Kind) -> Denied:
        """As `Denial.of` (RFC 5155 sections 8.4 to 8.7)."""
        if self.too_many:
            return Denied.ITERATIONS
        if matched := self._at(name):
            lacks = lacks_type(matched.record, kind, root=name == dns.name.root)
            return Denied.NO_TYPE if lacks else Denied.NOT_PROVEN
        found = self._encloser(name)
        if found is None:
            return Denied.NOT_PROVEN
        encloser, closer = found
        if kind == Kind.DS and closer.opt_out:
            return Denied.INSECURE
        wild = _WILD.concatenate(encloser)
        if (at_wildcard := self._at(wild)) and not lacks_type(at_wildcard.record, kind):
            return Denied.NOT_PROVEN
        if closer.opt_out:
            return Denied.INSECURE  # an unsigned delegation may be there (RFC 5155 section 9.2)
        if at_wildcard:
            return Denied.NO_TYPE
        return Denied.NO_NAME if self._over(wild) else Denied.NOT_PROVEN

    def of_closer(self, name: Name, labels: int) -> Denied:
        """As `Denial.of_closer` (RFC 5155 section 8.8)."""
        if self.too_many:
            return Denied.ITERATIONS
        closer = self._over(_suffix(name, labels + 1))
        if closer is None:
            return Denied.NOT_PROVEN
        return Denied.INSECURE if closer.opt_out else Denied.NO_NAME

    def cut(self, name: Name) -> Cut:
        """As `Denial.cut` (RFC 5155 section 8.9)."""
        if self.too_many:
            return Cut.ITERATIONS
        if matched := self._at(name):
            return cut_of(matched.record, Kind.DS)
        found = self._encloser(name)
        if found is None:
            return Cut.NOT_PROVEN
        return Cut.UNSIGNED if found[1].opt_out else Cut.NO_NAME

    def _encloser(self, name: Name) -> tuple[Name, _Link] | None:
        """The closest encloser that is proven, and what covers the next closer name."""
        for labels in range(len(name) - 2, len(self._zone) - 2, -1):
            encloser = _suffix(name, labels)
            matched = self._at(encloser)
            if matched is None:
                continue
            if _hides_what_is_below(matched.record):
                return None
            closer = self._over(_suffix(name, labels + 1))
            return (encloser, closer) if closer is not None else None
        return None

    def _at(self, name: Name) -> _Link | None:
        wanted = self._hash(name)
        return next((each for each in self._links if each.at == wanted), None)

    def _over(self, name: Name) -> _Link | None:
        wanted = self._hash(name)
        if wanted is None:
            return None
        return next((each for each in self._links if each.covers(wanted)), None)

    def _hash(self, name: Name) -> bytes | None:
        """None once this proof has cost enough."""
        known = self._hashes.get(name)
        if known is None and self._first is not None and len(self._hashes) < HASHES_MAX:
            import dns.dnssec  # late, as in `signatures`

            first = self._first
            text = dns.dnssec.nsec3_hash(name, first.salt, first.iterations, 1)
            known = self._hashes[name] = base64.b32hexdecode(text)
        return known


def _suffix(name: Name, labels: int) -> Name:
    """The last labels of a name, the root not counted."""
    return name.split(labels + 1)[1]
