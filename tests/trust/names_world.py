"""Signed zones in memory, and a name server over all of them that lies as told.

Promised faults: `drop` (nobody answers these questions), `change` (each answer goes through it on
its way out). It answers as a forwarder does: it follows aliases over its zones.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdata
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from skerry.trust.core.names.anchors import Anchors, read_anchors
from skerry.trust.core.names.chain import Known, Walk
from skerry.trust.core.names.judgement import Judge
from skerry.trust.core.names.signatures import Work
from skerry.trust.core.names.values import Answer, Ask, Kind, Message, Name

NOW = 1_700_000_000
INCEPTION, EXPIRATION = NOW - 3600, NOW + 86400
TTL = 300


def name(text: str) -> Name:
    return dns.name.from_text(text)


@dataclass
class SignedZone:
    """One zone; `nsec3` with a count of iterations, `opt_out` for its delegations."""

    origin: Name
    lines: str
    signed: bool = True
    nsec3: int | None = None
    opt_out: bool = False
    algorithm: str = "ECDSAP256SHA256"
    inception: int = INCEPTION
    expiration: int = EXPIRATION
    extra_ds: tuple[str, ...] = ()
    sets: dict[tuple[Name, Kind], dns.rrset.RRset] = field(default_factory=dict)
    hashed: list[tuple[bytes, Name]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.algorithm == "ED25519":
            self.private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = (
                ed25519.Ed25519PrivateKey.generate()
            )
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())
        self.key: DNSKEY = dns.dnssec.make_dnskey(
            self.private.public_key(), dns.dnssec.algorithm_from_text(self.algorithm), flags=257
        )
        text = f"@ {TTL} IN SOA ns h 1 3600 600 86400 {TTL}\n@ {TTL} IN NS ns\n{self.lines}"
        zone = dns.zone.from_text(text, origin=self.origin, relativize=False, check_origin=False)
        for owner, rdataset in zone.iterate_rdatasets():
            made = dns.rrset.RRset(owner, rdataset.rdclass, rdataset.rdtype)
            made.update(rdataset)
            made.ttl = rdataset.ttl or TTL
            self.sets[owner, rdataset.rdtype] = made

    def finish(self) -> None:
        """Adds keys, denials and signatures."""
        if not self.signed:
            return
        self.put(self.origin, self.key)
        names = sorted({owner for owner, _ in self.sets if not self._hidden(owner)})
        if self.nsec3 is None:
            for here, following in zip(names, [*names[1:], self.origin], strict=True):
                self._deny(here, here, f"{following} RRSIG NSEC")
        else:
            self._hash(names)
        for (owner, kind), rrset in list(self.sets.items()):
            if self._signs(owner, kind):
                self.sign(rrset)

    def sign(self, rrset: dns.rrset.RRset, **more: int) -> None:
        signature = dns.dnssec.sign(
            rrset,
            self.private,
            self.origin,
            self.key,
            inception=more.get("inception", self.inception),
            expiration=more.get("expiration", self.expiration),
        )
        made = dns.rrset.from_rdata(rrset.name, rrset.ttl, signature)
        self.sets[rrset.name, _sig(rrset.rdtype)] = made

    def put(self, owner: Name, rdata: dns.rdata.Rdata) -> None:
        found = self.sets.get((owner, rdata.rdtype))
        if found is None:
            self.sets[owner, rdata.rdtype] = dns.rrset.from_rdata(owner, TTL, rdata)
        else:
            found.add(rdata, TTL)

    def types(self, owner: Name) -> list[str]:
        kinds = {kind for at, kind in self.sets if at == owner and isinstance(kind, Kind)}
        return sorted(dns.rdatatype.to_text(kind) for kind in kinds)

    def _delegated(self, owner: Name) -> bool:
        return owner != self.origin and (owner, Kind.NS) in self.sets

    def _hidden(self, owner: Name) -> bool:
        """Glue: below a cut."""
        above = owner
        while above != self.origin:
            above = above.parent()
            if self._delegated(above):
                return True
        return False

    def _signs(self, owner: Name, kind: Kind) -> bool:
        if self._hidden(owner):
            return False
        return not self._delegated(owner) or kind in (Kind.DS, Kind.NSEC)

    def _deny(self, owner: Name, about: Name, rest: str) -> None:
        more = " ".join(self.types(about))
        kind = "NSEC" if owner == about else "NSEC3"
        self.sets[owner, Kind.make(kind)] = dns.rrset.from_text(
            owner, TTL, "IN", kind, f"{rest} {more}"
        )

    def _hash(self, names: list[Name]) -> None:
        everything = {self.origin}
        for each in names:
            insecure = self._delegated(each) and (each, Kind.DS) not in self.sets
            while each != self.origin and not (self.opt_out and insecure):
                everything.add(each)  # and the empty non-terminals above it
                each = each.parent()
        self.hashed = sorted((self.hash_of(each), each) for each in everything)
        for number, (hashed, about) in enumerate(self.hashed):
            following = self.hashed[(number + 1) % len(self.hashed)][0]
            owner = self.owner_of(hashed)
            shown = base64.b32hexencode(following).decode()
            signed = "RRSIG" if self.types(about) and not self._delegated(about) else ""
            self._deny(owner, about, f"1 {int(self.opt_out)} {self.nsec3} ab {shown} {signed}")

    def hash_of(self, owner: Name) -> bytes:
        text = dns.dnssec.nsec3_hash(owner, "ab", self.nsec3 or 0, 1)
        return base64.b32hexdecode(text)

    def owner_of(self, hashed: bytes) -> Name:
        label = base64.b32hexencode(hashed).decode().lower()
        return dns.name.from_text(label, self.origin)

    def exists(self, owner: Name) -> bool:
        return any(at.is_subdomain(owner) for at, kind in self.sets if kind != Kind.NSEC3)

    def with_signature(self, owner: Name, kind: Kind) -> list[dns.rrset.RRset]:
        found = (self.sets.get((owner, kind)), self.sets.get((owner, _sig(kind))))
        return [each for each in found if each is not None]

    def denials(self, owner: Name) -> list[dns.rrset.RRset]:
        """What proves that a name or a type of it is not there, the wildcard's part included."""
        encloser = owner
        while not self.exists(encloser) or self._opted_out(encloser):
            encloser = encloser.parent()
        closer = dns.name.Name(owner.labels[-len(encloser) - 1 :]) if owner != encloser else owner
        wild = dns.name.from_text("*", encloser)
        found: list[dns.rrset.RRset] = []
        for each in dict.fromkeys((owner, encloser, closer, wild)):
            found += [x for x in self.denial(each) if x not in found]
        return found

    def _opted_out(self, owner: Name) -> bool:
        return self.opt_out and all(at != owner for _, at in self.hashed)

    def denial(self, owner: Name) -> list[dns.rrset.RRset]:
        """The record at a name, or the one that covers it."""
        if self.nsec3 is not None:
            wanted = self.hash_of(owner)
            at = max((h for h, _ in self.hashed if h <= wanted), default=self.hashed[-1][0])
            return self.with_signature(self.owner_of(at), Kind.NSEC3)
        owners = sorted(at for at, kind in self.sets if kind == Kind.NSEC)
        before = max((each for each in owners if each <= owner), default=owners[-1])
        return self.with_signature(before, Kind.NSEC)


def _sig(kind: int) -> Kind:
    """A key for the signatures over a type, beside the types themselves."""
    return -int(kind)  # type: ignore[return-value]


class World:
    """All zones, the root among them."""

    def __init__(self, *zones: SignedZone) -> None:
        self.zones = {zone.origin: zone for zone in zones}
        self.drop: set[tuple[Name, Kind]] = set()
        self.change: Callable[[Ask, Message], None] = lambda ask, reply: None
        self.asked: list[Ask] = []
        for zone in sorted(zones, key=lambda each: -len(each.origin)):
            if zone.origin != dns.name.root:
                parent = self.zone_over(zone.origin.parent())
                if (zone.origin, Kind.NS) not in parent.sets:
                    ns = dns.rdata.from_text("IN", "NS", f"ns.{zone.origin}")
                    parent.put(zone.origin, ns)
                if zone.signed and parent.signed:
                    made = dns.dnssec.make_ds(zone.origin, zone.key, "SHA256")
                    texts = zone.extra_ds or (made.to_text(),)
                    for text in texts:
                        parent.put(zone.origin, dns.rdata.from_text("IN", "DS", text))
        for zone in zones:
            zone.finish()

    def zone_over(self, owner: Name) -> SignedZone:
        return next(
            self.zones[above]
            for above in (owner.split(n)[1] for n in range(len(owner), 0, -1))
            if above in self.zones
        )

    @property
    def anchors(self) -> Anchors:
        key = self.zones[dns.name.root].key
        return read_anchors(f". IN DNSKEY {key.to_text()}")

    def reply(self, ask: Ask) -> Message | None:
        self.asked.append(ask)
        if (ask.name, ask.kind) in self.drop:
            return None
        query = dns.message.make_query(ask.name, ask.kind, want_dnssec=True)
        answer = dns.message.make_response(query)
        self._fill(answer, ask.name, ask.kind)
        self.change(ask, answer)
        return answer

    def _fill(self, answer: Message, owner: Name, kind: Kind, links: int = 0) -> None:
        at = owner.parent() if kind == Kind.DS and owner != dns.name.root else owner
        zone = self.zone_over(at)
        node = owner
        if not zone.exists(owner):
            encloser = owner
            while not zone.exists(encloser):
                encloser = encloser.parent()
            node = dns.name.from_text("*", encloser)
        kinds = (kind, Kind.CNAME) if kind != Kind.DS else (kind,)
        for each in kinds:
            found = zone.with_signature(node, each)
            if not found:
                continue
            answer.answer += [_renamed(x, owner) for x in found]
            if node != owner:
                answer.authority += zone.denial(owner) if zone.signed else []
            if each == Kind.CNAME and kind != Kind.CNAME and links < 8:
                target = found[0][0].target
                self._fill(answer, target, kind, links + 1)
            return
        answer.authority += zone.with_signature(zone.origin, Kind.SOA)
        if zone.signed:
            answer.authority += zone.denials(owner)
        if not zone.exists(owner) and not zone.exists(node):
            answer.set_rcode(dns.rcode.NXDOMAIN)


def _renamed(rrset: dns.rrset.RRset, owner: Name) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(owner, rrset.ttl, list(rrset))


def standard(**example: object) -> World:
    """A root, a signed `test`, below it `example` as told and an unsigned `plain`."""
    lines = (
        "www 300 IN A 192.0.2.1\nwww 300 IN AAAA 2001:db8::1\nalias 300 IN CNAME www\n"
        "out 300 IN CNAME www.plain.test.\n*.wild 300 IN A 192.0.2.7\na.b.ent 300 IN TXT x\n"
        "sub 300 IN NS ns.sub\nns.sub 300 IN A 192.0.2.9\ncircle 300 IN CNAME circle\n"
    )
    made = SignedZone(name("example.test."), lines, **example)  # type: ignore[arg-type]
    return World(
        SignedZone(dns.name.root, ""),
        SignedZone(name("test."), "", algorithm="ED25519"),
        made,
        SignedZone(name("plain.test."), "www 300 IN A 192.0.2.2\n", signed=False),
        SignedZone(name("sub.example.test."), "www 300 IN A 192.0.2.3\n", signed=False),
    )


def judged(
    world: World,
    text: str,
    kind: str = "A",
    *,
    now: float = NOW,
    known: Known | None = None,
    anchors: Anchors | None = None,
    checks_max: int = 48,
) -> Answer:
    """What is thought of the world's answer to a question."""
    ask = Ask(name(text), dns.rdatatype.from_text(kind))
    reply = world.reply(ask)
    assert reply is not None
    memory = Known() if known is None else known
    walk = Walk(anchors or world.anchors, memory, now, Work(checks_max))
    judging = Judge(walk, reply, name=ask.name, kind=ask.kind).judging()
    sent: Message | None = None
    while True:
        try:
            wanted = judging.send(sent)
        except StopIteration as done:
            return done.value
        sent = world.reply(wanted)
