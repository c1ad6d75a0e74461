"""m of n, counted against a model that is too slow and too simple to be wrong."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.digest import Digest
from skerry.trust.core.keys import Algorithm, PublicKey
from skerry.trust.core.threshold import (
    CLAIMS_MAX,
    BadPolicy,
    Claim,
    Format,
    Policy,
    TrustedKey,
    Why,
    judge,
    policy,
)

IMAGE, OTHER = Digest("sha256", "1" * 64), Digest("sha256", "2" * 64)
NOW = 1000.0


def key(name: str) -> PublicKey:
    return PublicKey(name, Algorithm.ECDSA, b"")


ANN_1 = TrustedKey(key("ann-1"), "ann")
ANN_2 = TrustedKey(key("ann-2"), "ann")
BOB = TrustedKey(key("bob"), "bob")
OLD = TrustedKey(key("old"), "cat", revoked=True)
LATE = TrustedKey(key("late"), "dan", expires_at=NOW)
ROOT_E = TrustedKey(key("root-e"), "eve", authority=True)
ROOT_F = TrustedKey(key("root-f"), "fay", authority=True)
KEYS = (ANN_1, ANN_2, BOB, OLD, LATE, ROOT_E, ROOT_F)


def claim(
    name: str, *authorities: str, subject: Digest = IMAGE, form: Format = Format.COSIGN
) -> Claim:
    return Claim(name, subject, form, authorities)


POSSIBLE = (
    claim("ann-1"),
    claim("ann-2"),
    claim("bob"),
    claim("bob", form=Format.NOTATION),
    claim("bob", subject=OTHER),
    claim("old"),
    claim("late"),
    claim("nobody"),
    claim("leaf", "root-e"),
    claim("leaf", "root-f"),
    claim("leaf-2", "root-f"),
)


def model(asked: Policy, claims: tuple[Claim, ...]) -> bool:
    """Whether distinct keys can be given to enough distinct owners, by trying everything."""
    good: set[tuple[str, str]] = set()
    for each in claims:
        if each.subject != IMAGE or each.format not in asked.formats:
            continue
        own = [k for k in asked.keys if not k.authority and k.key.fingerprint == each.fingerprint]
        roots = [k for k in asked.keys if k.authority and k.key.fingerprint in each.authorities]
        if any(k.revoked for k in own + roots):
            continue
        for k in own or roots:
            if k.expires_at is None or k.expires_at > NOW:
                good.add((each.fingerprint, k.owner))
    for size in range(len(good), asked.threshold - 1, -1):
        for chosen in itertools.combinations(sorted(good), size):
            keys, owners = {k for k, _ in chosen}, {o for _, o in chosen}
            if len(keys) == len(owners) == size and asked.required <= owners:
                return True
    return False


POLICIES = [
    policy("p", threshold=threshold, keys=KEYS, required=required, formats=formats)
    for threshold in (1, 2, 3)
    for required in ((), ("ann",), ("bob", "ann"))
    for formats in ((Format.COSIGN,), tuple(Format))
]


@pytest.mark.parametrize("asked", POLICIES, ids=range(len(POLICIES)))
def test_every_choice_of_up_to_four_signatures_is_judged_as_the_model_says(asked: Policy) -> None:
    for length in range(5):
        for claims in itertools.combinations_with_replacement(POSSIBLE, length):
            verdict = judge(asked, IMAGE, claims, NOW)
            # One order of a key with two possible owners may be less than the best: never more.
            assert not verdict.accepted or model(asked, claims), (asked, claims)
            if not {"root-e", "root-f"} <= {a for each in claims for a in each.authorities}:
                assert verdict.accepted == model(asked, claims), (asked, claims)


def test_t41_one_key_counts_once_however_often_it_signed() -> None:
    two = policy("p", threshold=2, keys=(ANN_1, BOB))
    verdict = judge(two, IMAGE, (claim("ann-1"), claim("ann-1", form=Format.BUNDLE)), NOW)
    assert not verdict.accepted
    assert (verdict.signers, verdict.lacking) == ((("ann", "ann-1"),), 1)
    assert judge(two, IMAGE, (claim("ann-1"), claim("bob")), NOW).accepted


def test_t41_one_owner_counts_once_however_many_keys_they_have() -> None:
    two = policy("p", threshold=2, keys=(ANN_1, ANN_2, BOB))
    assert not judge(two, IMAGE, (claim("ann-1"), claim("ann-2")), NOW).accepted


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (claim("old"), Why.REVOKED),
        (claim("late"), Why.EXPIRED),
        (claim("nobody"), Why.UNKNOWN_KEY),
        (claim("bob", subject=OTHER), Why.OTHER_DIGEST),
        (claim("leaf", "root-x"), Why.UNKNOWN_KEY),
        (claim("root-e"), Why.UNKNOWN_KEY),
    ],
)
def test_t41_t42_what_does_not_count_is_told_by_its_cause(bad: Claim, why: Why) -> None:
    two = policy("p", threshold=2, keys=KEYS)
    verdict = judge(two, IMAGE, (claim("ann-1"), bad), NOW)
    assert not verdict.accepted
    assert verdict.passed_over == ((bad, why),)


def test_a_key_certified_for_two_owners_is_one_key() -> None:
    two = policy("p", threshold=2, keys=(ROOT_E, ROOT_F))
    verdict = judge(two, IMAGE, (claim("leaf", "root-e"), claim("leaf", "root-f")), NOW)
    assert not verdict.accepted
    assert verdict.passed_over[0][1] is Why.SAME_KEY


def test_a_revoked_key_is_not_saved_by_an_authority() -> None:
    one = policy("p", threshold=1, keys=(OLD, ROOT_E))
    assert not judge(one, IMAGE, (claim("old", "root-e"),), NOW).accepted


def test_a_required_owner_cannot_be_outvoted() -> None:
    asked = policy("p", threshold=1, keys=(ANN_1, BOB), required=("bob",))
    verdict = judge(asked, IMAGE, (claim("ann-1"),), NOW)
    assert not verdict.accepted
    assert (verdict.lacking, verdict.absent) == (0, ("bob",))
    assert str(verdict) == "not signed by bob"


@pytest.mark.parametrize(
    ("threshold", "keys", "required", "says"),
    [
        (0, (ANN_1,), (), "lets everything through"),
        (-1, (ANN_1,), (), "lets everything through"),
        (2, (ANN_1, ANN_2), (), "only 1 can"),
        (2, (ANN_1, OLD), (), "only 1 can"),
        (1, (), (), "only 0 can"),
        (1, (ANN_1,), ("bob",), "no key that counts"),
        (1, (ANN_1, OLD), ("cat",), "no key that counts"),
        (2, (ANN_1, TrustedKey(key("ann-1"), "bob")), (), "belongs to both"),
        (1, (TrustedKey(key("x"), ""),), (), "no owner"),
    ],
)
def test_a_policy_that_cannot_be_met_or_always_is_refused(
    threshold: int, keys: tuple[TrustedKey, ...], required: tuple[str, ...], says: str
) -> None:
    with pytest.raises(BadPolicy, match=says):
        policy("p", threshold=threshold, keys=keys, required=required)


def test_no_accepted_format_is_refused() -> None:
    with pytest.raises(BadPolicy, match="no format"):
        policy("p", threshold=1, keys=(ANN_1,), formats=())


def test_a_flood_of_signatures_is_not_counted_to_its_end() -> None:
    one = policy("p", threshold=1, keys=(ANN_1,))
    flood = itertools.chain((claim("nobody"),) * CLAIMS_MAX, (claim("ann-1"),))
    assert not judge(one, IMAGE, flood, NOW).accepted


@given(
    st.lists(st.sampled_from(POSSIBLE), max_size=8),
    st.sampled_from(POSSIBLE),
    st.sampled_from(POLICIES),
)
def test_another_signature_never_takes_an_acceptance_away(
    claims: list[Claim], more: Claim, asked: Policy
) -> None:
    if judge(asked, IMAGE, claims, NOW).accepted:
        assert judge(asked, IMAGE, [*claims, more], NOW).accepted


@given(st.permutations(POSSIBLE), st.sampled_from(POLICIES))
def test_the_order_of_signatures_by_listed_keys_changes_nothing(
    claims: list[Claim], asked: Policy
) -> None:
    listed = [each for each in claims if not each.authorities]
    straight = [each for each in POSSIBLE if not each.authorities]
    found, other = judge(asked, IMAGE, listed, NOW), judge(asked, IMAGE, straight, NOW)
    assert (found.accepted, found.lacking) == (other.accepted, other.lacking)
