"""What a whole answer is worth.

Owns the way through it: aliases link by link, then the answer or its denial, each held against the
zone that it lies in; the weakest part is the whole's. RFC 4035 section 5, RFC 6672 (DNAME).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import cast

import dns.name
import dns.rcode
import dns.rrset
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.DNAME import DNAME
from dns.rdtypes.ANY.RRSIG import RRSIG
from dns.rdtypes.ANY.SOA import SOA

from skerry.trust.core.names.chain import Walk, Zone
from skerry.trust.core.names.denial import Denial, Denied
from skerry.trust.core.names.signatures import check
from skerry.trust.core.names.values import (
    NEGATIVE_TTL_SECONDS_MAX,
    TTL_SECONDS_MAX,
    UNBOUNDED_DENIAL_SECONDS,
    Answer,
    Ask,
    Ede,
    Judging,
    Kind,
    Message,
    Name,
    RRset,
    Security,
    Why,
    sections,
    signatures,
)

LINKS_MAX = 12
"""Aliases that are followed."""

Verdict = tuple[Security, "Why | None"]
Step = Generator[Ask, "Message | None", Verdict]
_ORDER = (Security.SECURE, Security.INSECURE, Security.INDETERMINATE, Security.BOGUS)


@dataclass(frozen=True, slots=True)
class Links:
    """The way of aliases through one answer.

    Attributes:
        sets: what belongs to it, in order: CNAME, DNAME, at the end what was asked for.
        end: the name at its end.
        found: what was asked for is there.
        too_long: more links than are followed, or a circle.
    """

    sets: tuple[RRset, ...]
    end: Name
    found: bool
    too_long: bool = False


def follow(answer: list[RRset], name: Name, kind: Kind) -> Links:
    """The way from a name through the answer section."""
    sets: list[RRset] = []
    seen: set[Name] = set()
    while name not in seen and len(seen) < LINKS_MAX:
        seen.add(name)
        if found := sections(answer, name, kind):
            return Links((*sets, found), name, True)
        above = _dname(answer, name)
        alias = sections(answer, name, Kind.CNAME)
        if above is not None:
            sets.append(above)
            made = _made(above, name)
            if made is None:
                return Links(tuple(sets), name, False, too_long=True)
            sets.append(
                alias
                if alias is not None and _target(alias) == made
                else _alias(name, above.ttl, made)
            )
            name = made
        elif alias is not None:
            sets.append(alias)
            name = _target(alias)
        else:
            return Links(tuple(sets), name, False)
    return Links(tuple(sets), name, False, too_long=True)


@dataclass(slots=True)
class _Tally:
    """The weakest of what was judged so far, and how long all of it lives."""

    security: Security = Security.SECURE
    why: Why | None = None
    ttl_seconds: float = float(TTL_SECONDS_MAX)
    signed_until: float | None = None
    kept: list[RRset] = field(default_factory=list)

    def add(self, security: Security, why: Why | None) -> None:
        if _ORDER.index(security) >= _ORDER.index(self.security):
            self.why = why if security is not self.security or self.why is None else self.why
            self.security = security

    def lives(self, ttl_seconds: float, until: float | None) -> None:
        self.ttl_seconds = min(self.ttl_seconds, ttl_seconds)
        if until:
            self.signed_until = min(until, self.signed_until or until)


class Judge:
    """Judges one answer; used once."""

    def __init__(self, walk: Walk, reply: Message, *, name: Name, kind: Kind) -> None:
        self._walk = walk
        self._reply = reply
        self._name = name
        self._kind = kind
        self._tally = _Tally()

    def judging(self) -> Judging:
        """The judgement. Raises Unanswered."""
        links = follow(self._reply.answer, self._name, self._kind)
        if links.too_long:
            return self._done(Why(Ede.BOGUS, f"{self._name} has more aliases than are followed"))
        made: RRset | None = None
        for rrset in links.sets:
            self._tally.kept.append(rrset)
            self._tally.lives(rrset.ttl, None)
            if made is not None and rrset is not made and rrset.rdtype == Kind.CNAME:
                made = None
                continue  # follows from the DNAME before it, which was judged
            made = rrset if rrset.rdtype == Kind.DNAME else None
            security, why = yield from self._set(rrset)
            self._tally.add(security, why)
            if security is Security.BOGUS:
                return self._done(why)
        authority: tuple[RRset, ...] = ()
        if not links.found:
            security, why = yield from self._denial(links.end)
            self._tally.add(security, why)
            if security is Security.BOGUS:
                return self._done(why)
        authority = self._authority(links.found)
        return replace(self._done(None), authority=authority)

    def _done(self, bogus: Why | None) -> Answer:
        tally = self._tally
        if bogus is not None:
            return Answer(
                self._name, self._kind, dns.rcode.SERVFAIL, security=Security.BOGUS, why=bogus
            )
        signed = [
            found
            for each in tally.kept
            if (found := signatures(self._reply.answer, each.name, each.rdtype)) is not None
        ]
        secure = tally.security is Security.SECURE
        return Answer(
            name=self._name,
            kind=self._kind,
            rcode=self._reply.rcode(),
            answer=tuple(x for each in tally.kept for x in (each, *_of(each, signed))),
            security=tally.security,
            ttl_seconds=tally.ttl_seconds,
            signed_until=tally.signed_until if secure else _earliest(signed),
            why=None if secure else tally.why,
        )

    def _set(self, rrset: RRset) -> Step:
        """One set of the answer section. Raises Unanswered."""
        signed = signatures(self._reply.answer, rrset.name, rrset.rdtype)
        zone = yield from self._zone_of(rrset.name, rrset.rdtype, signed)
        if zone.security is not Security.SECURE:
            return zone.security, zone.why
        checked = check(
            rrset,
            signed,
            keys=zone.keys,
            zone=zone.name,
            now=self._walk.now,
            work=self._walk.work,
        )
        if checked.why is not None:
            return Security.BOGUS, checked.why
        self._tally.lives(checked.ttl_seconds, min(checked.until, zone.signed_until))
        expanded = checked.labels < len(rrset.name) - (2 if rrset.name.is_wild() else 1)
        if not expanded:
            return Security.SECURE, None
        proven, ttl, why = self._walk.proven(self._reply.authority, zone)
        self._tally.lives(ttl, None)
        match Denial(zone.name, proven).of_closer(rrset.name, checked.labels):
            case Denied.NO_NAME:
                return Security.SECURE, None
            case Denied.INSECURE | Denied.ITERATIONS:
                return Security.INSECURE, None
        what = f"{rrset.name} is made from a wildcard, and nothing proves that it may be"
        return Security.BOGUS, why or Why(Ede.NSEC_MISSING, what)

    def _denial(self, name: Name) -> Step:
        """That something is not there. Raises Unanswered."""
        section = self._reply.authority
        soa = next((each for each in section if each.rdtype == Kind.SOA), None)
        ttl = UNBOUNDED_DENIAL_SECONDS
        if soa is not None and name.is_subdomain(soa.name):
            ttl = min(soa.ttl, cast(SOA, soa[0]).minimum, NEGATIVE_TTL_SECONDS_MAX)
        self._tally.lives(ttl, None)
        signed = next((x for x in section if x.rdtype == Kind.RRSIG and _denies(x)), None)
        zone = yield from self._zone_of(name, self._kind, signed)
        if zone.security is not Security.SECURE:
            return zone.security, zone.why
        proven, lives, why = self._walk.proven(section, zone)
        self._tally.lives(lives, min(self._until(proven), zone.signed_until))
        denied = Denial(zone.name, proven).of(name, self._kind)
        if denied is Denied.INSECURE:
            return Security.INSECURE, None
        if denied is Denied.ITERATIONS:
            said = f"the NSEC3 of {zone.name} take too many iterations"
            return Security.INSECURE, Why(Ede.ITERATIONS, said)
        absent = self._reply.rcode() == dns.rcode.NXDOMAIN
        if denied is (Denied.NO_NAME if absent else Denied.NO_TYPE):
            return Security.SECURE, None
        what = f"{zone.name} is signed, and nothing proves what it says of {name}"
        return Security.BOGUS, why or Why(Ede.NSEC_MISSING, what)

    def _zone_of(
        self, name: Name, kind: Kind, signed: RRset | None
    ) -> Generator[Ask, Message | None, Zone]:
        """The zone that has to have signed a set: its signer's where that can be, else its own."""
        signer = cast(RRSIG, signed[0]).signer if signed else None
        inside = name.parent() if kind == Kind.DS and name != dns.name.root else name
        if signer is not None and inside.is_subdomain(signer):
            zone = yield from self._walk.zone_of(signer)
            if zone.security is not Security.SECURE or zone.name == signer:
                return zone
        zone = yield from self._walk.zone_of(inside)
        return zone

    def _until(self, proven: list[RRset]) -> float:
        signed = (signatures(self._reply.authority, x.name, x.rdtype) for x in proven)
        return _earliest([each for each in signed if each is not None]) or 0.0

    def _authority(self, found: bool) -> tuple[RRset, ...]:
        """What proves it, for those who check themselves; and the SOA that bounds a denial."""
        wanted = {Kind.NSEC, Kind.NSEC3} | (set() if found else {Kind.SOA})
        return tuple(
            each
            for each in self._reply.authority
            if each.rdtype in wanted or (each.rdtype == Kind.RRSIG and each.covers in wanted)
        )


def _of(rrset: RRset, signed: list[RRset]) -> list[RRset]:
    return [each for each in signed if each.name == rrset.name and each.covers == rrset.rdtype]


def _earliest(signed: list[RRset]) -> float | None:
    return min((float(cast(RRSIG, r).expiration) for each in signed for r in each), default=None)


def _denies(rrset: RRset) -> bool:
    return rrset.covers in (Kind.NSEC, Kind.NSEC3)


def _dname(answer: list[RRset], name: Name) -> RRset | None:
    for each in answer:
        if each.rdtype == Kind.DNAME and name != each.name and name.is_subdomain(each.name):
            return each
    return None


def _made(above: RRset, name: Name) -> Name | None:
    """The name that a DNAME turns another one into; None when that would be too long."""
    try:
        return name.relativize(above.name).concatenate(cast(DNAME, above[0]).target)
    except dns.name.NameTooLong:
        return None


def _target(alias: RRset) -> Name:
    return cast(CNAME, alias[0]).target


def _alias(name: Name, ttl: int, target: Name) -> RRset:
    return dns.rrset.from_text(name, ttl, "IN", "CNAME", target.to_text())
