"""What differs between a domain as it was signed and as it is seen."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.trust.core.delegation import (
    FATAL_STATUS,
    LOCKS,
    NEXT_STEPS,
    Aspect,
    Caa,
    Delegation,
    Drift,
    Expected,
    Registration,
    compare,
    known,
    loosened,
)

DAY = 86400.0
NOW = 1_800_000_000.0
NS = frozenset({"ns1.example.net", "ns2.example.net"})
DS = frozenset({"12345 13 2 aa11"})
CAA = frozenset({Caa(0, "issue", "ca.example"), Caa(0, "iodef", "mailto:a@example.org")})
EXPECTED = Expected(
    "example.org", 7, NS, DS, CAA, NOW + 300 * DAY, frozenset({"client transfer prohibited"})
)
SEEN = Delegation(NS, NS, DS, CAA)
REGISTERED = Registration(NOW + 300 * DAY, frozenset({"active", "client transfer prohibited"}))


def drifts(
    seen: Delegation = SEEN, registration: Registration | None = REGISTERED
) -> dict[Aspect, str]:
    found = compare(EXPECTED, seen, registration, now=NOW, near_seconds=30 * DAY)
    assert len({each.aspect for each in found}) == len(found)
    return {each.aspect: each.what for each in found}


def test_what_is_as_it_was_signed_has_not_drifted() -> None:
    assert drifts() == {}


@pytest.mark.parametrize(
    ("seen", "aspect", "what"),
    [
        (replace(SEEN, ns=NS | {"ns.evil.example"}), Aspect.NS,
         "the parent has ns.evil.example besides"),
        (replace(SEEN, ns=frozenset({"ns.evil.example"})), Aspect.NS,
         "the parent has ns.evil.example and lacks ns1.example.net, ns2.example.net"),
        (replace(SEEN, own_ns=frozenset({"ns1.example.net"})), Aspect.NS,
         "the zone lacks ns2.example.net"),
        (replace(SEEN, ns=frozenset()), Aspect.NS,
         "the parent lacks ns1.example.net, ns2.example.net"),
        (replace(SEEN, ds=frozenset()), Aspect.DS,
         "the parent has no DS any more: nothing is signed"),
        (replace(SEEN, ds=DS | {"1 13 2 bb"}), Aspect.DS,
         "the parent's DS has 1 13 2 bb besides"),
        (replace(SEEN, caa=frozenset()), Aspect.CAA,
         "every authority may issue certificates now"),
        (replace(SEEN, caa=CAA | {Caa(0, "issue", "evil.example")}), Aspect.CAA,
         "evil.example may issue certificates now"),
        (replace(SEEN, caa=CAA | {Caa(0, "issuewild", "evil.example")}), Aspect.CAA,
         "evil.example may issue wildcard certificates now"),
    ],
)  # fmt: skip
def test_a_change_at_the_name_servers_is_a_drift(
    seen: Delegation, aspect: Aspect, what: str
) -> None:
    assert drifts(seen) == {aspect: what}


@pytest.mark.parametrize(
    ("registration", "aspect", "what"),
    [
        (replace(REGISTERED, expires_at=NOW + 90 * DAY), Aspect.EXPIRY,
         "its registration ends on 2027-04-15, not on 2027-11-11 as signed"),
        (replace(REGISTERED, status=REGISTERED.status | {"pending delete"}), Aspect.STATUS,
         "it is in pending delete"),
        (replace(REGISTERED, status=frozenset({"active"})), Aspect.STATUS,
         "it has lost client transfer prohibited"),
    ],
)  # fmt: skip
def test_a_change_at_the_registrar_is_a_drift(
    registration: Registration, aspect: Aspect, what: str
) -> None:
    assert drifts(registration=registration) == {aspect: what}


def test_a_renewal_is_no_drift_and_a_tightened_caa_is_none() -> None:
    assert drifts(registration=replace(REGISTERED, expires_at=NOW + 665 * DAY)) == {}
    assert drifts(replace(SEEN, caa=frozenset({Caa(0, "issue", ";")}))) == {}
    assert drifts(replace(SEEN, caa=CAA | {Caa(0, "issuewild", ";")})) == {}


def test_a_registration_near_its_end_is_told_of_and_holds_nothing() -> None:
    expected = replace(EXPECTED, expires_at=NOW + 20 * DAY)
    registered = replace(REGISTERED, expires_at=NOW + 20 * DAY)
    found = compare(expected, SEEN, registered, now=NOW, near_seconds=30 * DAY)
    assert found == (Drift(Aspect.EXPIRY, "its registration ends on 2027-02-04", holds=False),)


@pytest.mark.parametrize("status", sorted(FATAL_STATUS))
def test_every_status_of_a_domain_on_its_way_out_is_a_drift_unless_it_was_signed(
    status: str,
) -> None:
    registered = replace(REGISTERED, status=REGISTERED.status | {status})
    assert drifts(registration=registered) == {Aspect.STATUS: f"it is in {status}"}
    expected = replace(EXPECTED, status=EXPECTED.status | {status})
    assert compare(expected, SEEN, registered, now=NOW, near_seconds=0) == ()


def test_locks_are_those_of_rfc_8056() -> None:
    assert len(LOCKS) == 6
    assert "server transfer prohibited" in LOCKS


SOMETHING = frozenset({"x"})
SETS = st.none() | st.frozensets(st.sampled_from(["ns1.example.net", "ns2.example.net", "e"]))
CAAS = st.frozensets(
    st.builds(
        Caa,
        st.sampled_from([0, 128]),
        st.sampled_from(["issue", "issuewild", "iodef"]),
        st.sampled_from(["a", "a; x", "a; x; y", "b", ";", "A.; x"]),
    )
)


@given(SETS, SETS, SETS, st.none() | CAAS, st.booleans())
def test_what_nobody_could_be_asked_about_is_never_a_drift(
    ns: frozenset[str] | None,
    own_ns: frozenset[str] | None,
    ds: frozenset[str] | None,
    caa: frozenset[Caa] | None,
    registered: bool,
) -> None:
    seen = Delegation(ns, own_ns, ds, caa)
    registration = Registration(NOW, frozenset()) if registered else None
    found = compare(EXPECTED, seen, registration, now=NOW, near_seconds=DAY)
    assert {each.aspect for each in found} <= known(seen, registration)


def test_an_outage_knows_nothing_and_differs_in_nothing() -> None:
    assert known(Delegation(), None) == frozenset()
    assert compare(EXPECTED, Delegation(), None, now=NOW, near_seconds=DAY) == ()


def test_every_aspect_has_a_next_step() -> None:
    assert set(NEXT_STEPS) == set(Aspect)


# CAA: against a model that asks, for every authority and all it may bind itself to, whether it may
# issue (RFC 8659).
WORLDS = tuple(
    (name, frozenset(bounds))
    for name, bounds in product(("a", "b", "other"), ((), ("x",), ("y",), ("x", "y")))
)


def may_issue(caa: frozenset[Caa], tag: str, world: tuple[str, frozenset[str]]) -> bool:
    records = [each.value for each in caa if each.tag == tag]
    if not records and tag == "issuewild":
        return may_issue(caa, "issue", world)
    if not records:
        return True
    for value in records:
        name, *bounds = [part.strip() for part in value.split(";")]
        if name.lower().rstrip(".") == world[0] and set(filter(None, bounds)) <= world[1]:
            return True
    return False


def is_looser(before: frozenset[Caa], after: frozenset[Caa]) -> bool:
    return any(
        may_issue(after, tag, world) and not may_issue(before, tag, world)
        for tag in ("issue", "issuewild")
        for world in WORLDS
    )


def test_loosened_agrees_with_the_model_for_every_pair_of_small_sets() -> None:
    values = ("a", "a; x", "a; x; y", "b", ";")
    subsets = list(chain.from_iterable(combinations(values, n) for n in range(len(values) + 1)))
    sets = [frozenset(Caa(0, "issue", value) for value in subset) for subset in subsets]
    for before, after in product(sets, repeat=2):
        assert bool(loosened(before, after)) == is_looser(before, after), (before, after)


@given(CAAS, CAAS)
def test_loosened_agrees_with_the_model_with_wildcards_too(
    before: frozenset[Caa], after: frozenset[Caa]
) -> None:
    assert bool(loosened(before, after)) == is_looser(before, after)
