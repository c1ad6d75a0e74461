"""What answers are worth: each verdict, each way to be bogus, and every record left out once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import dns.dnssec
import dns.name
import dns.rcode
import dns.rrset
import pytest
from dns.rdtypes.ANY.RRSIG import RRSIG

from skerry.base.errors import BadInput
from skerry.trust.core.names.anchors import ROOT, Anchors, read_anchors
from skerry.trust.core.names.chain import Known
from skerry.trust.core.names.values import (
    Answer,
    Ask,
    Ede,
    Kind,
    Message,
    Security,
    Unanswered,
    sections,
)
from tests.trust.names_world import (
    EXPIRATION,
    INCEPTION,
    NOW,
    SignedZone,
    World,
    judged,
    name,
    standard,
)

SECURE, INSECURE = Security.SECURE, Security.INSECURE
WWW = name("www.example.test.")

ZONES = {
    "nsec": {},
    "nsec3": {"nsec3": 0},
    "opt-out": {"nsec3": 3, "opt_out": True},
}
QUESTIONS = (
    # name, type, rcode, and the verdict per kind of denial
    ("www.example.test.", "A", 0, (SECURE, SECURE, SECURE)),
    ("www.example.test.", "MX", 0, (SECURE, SECURE, SECURE)),
    ("alias.example.test.", "A", 0, (SECURE, SECURE, SECURE)),
    ("alias.example.test.", "MX", 0, (SECURE, SECURE, SECURE)),
    ("out.example.test.", "A", 0, (INSECURE, INSECURE, INSECURE)),
    ("x.wild.example.test.", "A", 0, (SECURE, SECURE, INSECURE)),
    ("x.wild.example.test.", "MX", 0, (SECURE, SECURE, INSECURE)),
    ("b.ent.example.test.", "A", 0, (SECURE, SECURE, SECURE)),
    ("no.example.test.", "A", 3, (SECURE, SECURE, INSECURE)),
    ("a.b.no.example.test.", "A", 3, (SECURE, SECURE, INSECURE)),
    ("no.test.", "A", 3, (SECURE, SECURE, SECURE)),
    ("www.sub.example.test.", "A", 0, (INSECURE, INSECURE, INSECURE)),
    ("sub.example.test.", "DS", 0, (SECURE, SECURE, INSECURE)),
    ("example.test.", "DS", 0, (SECURE, SECURE, SECURE)),
    ("example.test.", "DNSKEY", 0, (SECURE, SECURE, SECURE)),
    ("www.plain.test.", "A", 0, (INSECURE, INSECURE, INSECURE)),
    (".", "NS", 0, (SECURE, SECURE, SECURE)),
)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("text", "kind", "rcode", "verdicts"), QUESTIONS)
def test_each_question_has_its_verdict(
    zone: str, text: str, kind: str, rcode: int, verdicts: tuple[Security, ...]
) -> None:
    found = judged(standard(**ZONES[zone]), text, kind)
    assert (found.security, found.rcode) == (verdicts[[*ZONES].index(zone)], rcode), found.why
    assert found.signed_until == (EXPIRATION if found.security is SECURE else found.signed_until)


def test_an_alias_that_turns_in_a_circle_is_bogus() -> None:
    assert judged(standard(), "circle.example.test.").security is Security.BOGUS


@pytest.mark.parametrize("zone", ["nsec", "nsec3"])
@pytest.mark.parametrize(("text", "kind"), [(q[0], q[1]) for q in QUESTIONS if q[3][0] is SECURE])
def test_without_any_one_record_nothing_else_is_believed(zone: str, text: str, kind: str) -> None:
    """Each set and each signature of each answer on the way is left out once, or forged once."""
    world = standard(**ZONES[zone])
    honest = judged(world, text, kind)
    places = _places(world, text, kind)
    assert len(places) > 3
    bogus = 0
    for place in places:
        for spoil in (_leave_out, _forge):
            world.change = spoil(place)
            try:
                found = judged(world, text, kind)
            except Unanswered:
                continue
            if found.security is Security.BOGUS:
                assert not found.answer
                bogus += 1
            else:
                assert _said(found) == _said(honest), (place, spoil)
    assert bogus > len(places) // 2


def _said(answer: Answer) -> tuple[int, set[str]]:
    return answer.rcode, {x.to_text() for x in answer.answer if x.rdtype != Kind.RRSIG}


Place = tuple[Ask, str, int]


def _places(world: World, text: str, kind: str) -> list[Place]:
    found: list[Place] = []

    def note(ask: Ask, reply: Message) -> None:
        for section in ("answer", "authority"):
            found.extend((ask, section, n) for n in range(len(getattr(reply, section))))

    world.change = note
    judged(world, text, kind)
    return found


def _leave_out(place: Place) -> Callable[[Ask, Message], None]:
    def change(ask: Ask, reply: Message) -> None:
        if ask == place[0]:
            del getattr(reply, place[1])[place[2]]

    return change


def _forge(place: Place) -> Callable[[Ask, Message], None]:
    """Another name's records, under the same signature; or another signature."""

    def change(ask: Ask, reply: Message) -> None:
        if ask != place[0]:
            return
        section = getattr(reply, place[1])
        old = section[place[2]]
        if old.rdtype == Kind.RRSIG:
            made = [r.replace(signature=bytes([r.signature[0] ^ 1]) + r.signature[1:]) for r in old]
            section[place[2]] = dns.rrset.from_rdata_list(old.name, old.ttl, made)
        elif old.rdtype == Kind.A:
            section[place[2]] = dns.rrset.from_text(old.name, old.ttl, "IN", "A", "203.0.113.66")
        else:
            del section[place[2]]

    return change


def _signed(begin: int, end: int) -> Callable[[World], None]:
    def spoil(world: World) -> None:
        zone = world.zones[name("example.test.")]
        zone.sign(zone.sets[WWW, Kind.A], inception=begin, expiration=end)

    return spoil


def _without(ask_kind: str, *kinds: int) -> Callable[[World], None]:
    def spoil(world: World) -> None:
        def change(ask: Ask, reply: Message) -> None:
            if ask.kind == Kind.make(ask_kind):
                reply.answer = [x for x in reply.answer if x.rdtype not in kinds]
                reply.authority = [x for x in reply.authority if x.rdtype not in kinds]

        world.change = change

    return spoil


def _other_key(world: World) -> None:
    other = standard().zones[name("example.test.")]
    world.zones[name("example.test.")] = other


@pytest.mark.parametrize(
    ("spoil", "text", "ede"),
    [
        (_signed(INCEPTION, NOW - 1), "www.example.test.", Ede.SIGNATURE_EXPIRED),
        (_signed(NOW + 1, EXPIRATION), "www.example.test.", Ede.NOT_YET_VALID),
        (_without("A", Kind.RRSIG), "www.example.test.", Ede.RRSIGS_MISSING),
        (_without("DNSKEY", Kind.DNSKEY), "www.example.test.", Ede.DNSKEY_MISSING),
        (_other_key, "www.example.test.", Ede.DNSKEY_MISSING),
        (_without("A", Kind.NSEC), "no.example.test.", Ede.NSEC_MISSING),
        (_without("A", Kind.NSEC), "x.wild.example.test.", Ede.NSEC_MISSING),
        (_without("DS", Kind.NSEC), "www.plain.test.", Ede.NSEC_MISSING),
    ],
)
def test_what_is_bogus_says_why(spoil: Callable[[World], None], text: str, ede: Ede) -> None:
    world = standard()
    spoil(world)
    found = judged(world, text)
    assert (found.security, found.rcode) == (Security.BOGUS, dns.rcode.SERVFAIL)
    assert found.why is not None
    assert found.why.ede is ede, found.why
    assert not found.answer
    assert not found.authority


def test_an_unsigned_answer_in_a_signed_zone_is_no_way_around_its_keys() -> None:
    """Also not with a signature that claims to be of a zone above, or of one below."""
    world = standard()
    for signer in ("test.", ".", "www.example.test.", "plain.test."):

        def claim(ask: Ask, reply: Message, signer: str = signer) -> None:
            if ask.kind == Kind.A:
                reply.answer[0] = dns.rrset.from_text(WWW, 60, "IN", "A", "203.0.113.66")
                made = [r.replace(signer=name(signer)) for r in reply.answer[1]]
                reply.answer[1] = dns.rrset.from_rdata_list(WWW, 60, made)

        world.change = claim
        assert judged(world, "www.example.test.").security is Security.BOGUS, signer


def test_the_childs_own_nsec_does_not_deny_its_ds() -> None:
    world = standard()

    def change(ask: Ask, reply: Message) -> None:
        if ask == Ask(name("example.test."), Kind.DS):
            child = world.zones[name("example.test.")]
            reply.answer = []
            reply.authority = child.with_signature(child.origin, Kind.NSEC)

    world.change = change
    assert judged(world, "www.example.test.").security is Security.BOGUS


def test_a_ds_that_nobody_can_follow_leaves_the_zone_unsigned() -> None:
    found = judged(standard(extra_ds=("1 253 2 " + "ab" * 32,)), "www.example.test.")
    assert found.security is INSECURE
    assert found.why is not None
    assert found.why.ede is Ede.UNSUPPORTED_ALGORITHM


def test_the_parents_nsec_does_not_deny_what_is_below_a_cut() -> None:
    """The NSEC of a delegation covers, in order, names that lie in the child (RFC 6840 4.1)."""
    world = standard()

    def change(ask: Ask, reply: Message) -> None:
        if ask.kind == Kind.A:
            zone = world.zones[name("example.test.")]
            reply.answer = []
            reply.authority = zone.with_signature(name("sub.example.test."), Kind.NSEC)
            reply.set_rcode(dns.rcode.NXDOMAIN)

    world.change = change
    assert judged(world, "www.sub.example.test.").security is not SECURE


def test_keys_that_share_a_tag_and_signatures_by_the_dozen_cost_a_bounded_work() -> None:
    """KeyTrap: every signature might be by any of the keys."""
    world = standard()
    checked = 0

    def flood(ask: Ask, reply: Message) -> None:
        if ask == Ask(WWW, Kind.A):
            good = next(r for r in reply.answer[1])
            assert isinstance(good, RRSIG)
            many = [good.replace(signature=bytes([n]) * 64) for n in range(200)]
            reply.answer[1] = dns.rrset.from_rdata_list(WWW, 60, many)

    world.change = flood
    real = dns.dnssec.validate_rrsig

    def count(*arguments: object, **named: object) -> None:
        nonlocal checked
        checked += 1
        real(*arguments, **named)  # type: ignore[arg-type]

    dns.dnssec.validate_rrsig = count
    try:
        assert judged(world, "www.example.test.").security is Security.BOGUS
    finally:
        dns.dnssec.validate_rrsig = real
    assert 8 <= checked <= 16, checked
    world.change = lambda ask, reply: None
    found = judged(world, "www.example.test.", checks_max=2)
    assert found.why is not None
    assert "too many signature checks" in found.why.what


def test_what_a_walk_found_out_is_not_asked_again_until_it_ends() -> None:
    world, known = standard(), Known()
    judged(world, "www.example.test.", known=known)
    first = len(world.asked)
    judged(world, "www.example.test.", "AAAA", known=known, now=NOW + 10)
    assert len(world.asked) == first + 1
    judged(world, "www.example.test.", known=known, now=NOW + 301)
    assert len(world.asked) > first + 4


def test_a_question_that_nobody_answers_is_no_verdict() -> None:
    world = standard()
    world.drop = {(name("example.test."), Kind.DNSKEY)}
    with pytest.raises(Unanswered):
        judged(world, "www.example.test.")


def test_below_no_anchor_nothing_can_be_said() -> None:
    world = standard()
    key = world.zones[name("example.test.")].key
    island = read_anchors(f"example.test. IN DNSKEY {key.to_text()}")
    assert judged(world, "www.example.test.", anchors=island).security is SECURE
    assert judged(world, "www.plain.test.", anchors=island).security is Security.INDETERMINATE
    lan = replace(world.anchors, unsigned=(name("example.test."),))
    assert judged(world, "www.example.test.", anchors=lan).security is Security.INDETERMINATE
    assert judged(world, "no.test.", anchors=lan).security is SECURE


def test_a_dname_is_followed_and_what_follows_from_it_needs_no_signature() -> None:
    lines = "old 300 IN DNAME new.example.test.\nwww.new 300 IN A 192.0.2.5\n"
    world = World(
        SignedZone(dns.name.root, ""),
        SignedZone(name("test."), ""),
        SignedZone(name("example.test."), lines),
    )
    asked, target = name("www.old.example.test."), name("www.new.example.test.")
    zone = world.zones[name("example.test.")]

    def answer(made: str) -> Callable[[Ask, Message], None]:
        def change(ask: Ask, reply: Message) -> None:
            if ask == Ask(asked, Kind.A):
                alias = dns.rrset.from_text(asked, 300, "IN", "CNAME", made)
                reply.answer = [
                    *zone.with_signature(name("old.example.test."), Kind.DNAME),
                    alias,
                    *zone.with_signature(target, Kind.A),
                ]
                reply.set_rcode(dns.rcode.NOERROR)

        return change

    world.change = answer("www.new.example.test.")
    found = judged(world, "www.old.example.test.")
    assert found.security is SECURE, found.why
    assert sections(list(found.answer), target, Kind.A)
    world.change = answer("evil.test.")
    found = judged(world, "www.old.example.test.")
    assert [x[0].to_text() for x in found.answer if x.rdtype == Kind.CNAME] == [target.to_text()]


def test_the_roots_anchors_are_read_and_nonsense_is_refused() -> None:
    found = read_anchors(ROOT)
    assert [each.key_tag for each in found.anchors[0].ds] == [20326, 38696]
    assert isinstance(found, Anchors)
    for text in ("", "x", ". IN A 192.0.2.1", ". IN DS nonsense", "; nothing"):
        with pytest.raises(BadInput):
            read_anchors(text)
    written = ". 3600 IN DNSKEY 257 3 13 " + "A" * 84 + "aa== ; a comment"
    assert read_anchors(written).anchors[0].keys[0].flags == 257
