"""The way from a root to the next, against a model that counts people by hand."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuf.api.metadata import Metadata, Root
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet

from skerry.base.errors import BadInput
from skerry.trust.core.keys import parse_public_key
from skerry.trust.core.root import (
    HOLDER,
    SECTION,
    Fault,
    RootRefused,
    climb,
    first_root,
    next_root,
    read_root,
    signed_by,
)
from skerry.trust.core.root_making import (
    draft,
    next_draft,
    section_of,
    with_ends,
    with_floor,
    with_key,
    with_revoked,
    with_section,
    with_signature,
)
from skerry.trust.core.standing import Standing, given_grace, standing
from tests.trust.core.rooted import DAY, NOW, grace, key, pub, root, section
from tests.trust.core.signed import sign

PEOPLE = ("ann", "bob", "cat")
FIRST = root(1, PEOPLE, ("ann", "bob"))


def subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [
        chosen for size in range(len(names) + 1) for chosen in itertools.combinations(names, size)
    ]


@pytest.mark.parametrize("threshold", [1, 2, 3])
@pytest.mark.parametrize(
    "holders", [("ann", "bob", "cat"), ("bob", "cat", "dan"), ("dan", "eve", "fay")]
)
def test_every_choice_of_signatures_over_a_next_root_is_judged_as_people_are_counted(
    holders: tuple[str, ...], threshold: int
) -> None:
    trusted = first_root(FIRST)
    everybody = tuple(sorted({*PEOPLE, *holders}))
    for signers in subsets(everybody):
        made = root(2, holders, signers, threshold=threshold)
        old, new = len({*signers} & {*PEOPLE}), len({*signers} & {*holders})
        good = old >= 2 and new >= threshold
        try:
            taken = next_root(trusted, made).version == 2
        except RootRefused:
            taken = False
        assert taken == good, (signers, holders, threshold)


def test_the_first_root_needs_its_own_threshold() -> None:
    for signers in subsets(PEOPLE):
        made = root(1, PEOPLE, signers)
        if len(signers) >= 2:
            assert first_root(made).version == 1
        else:
            with pytest.raises(RootRefused, match="of its own holders"):
                first_root(made)


def test_only_the_old_threshold_makes_no_rotation() -> None:
    made = root(2, ("dan", "eve"), ("ann", "bob"))
    with pytest.raises(RootRefused, match="2 more of its own holders"):
        next_root(first_root(FIRST), made)


def test_only_the_new_threshold_makes_no_rotation() -> None:
    made = root(2, ("dan", "eve"), ("dan", "eve"))
    with pytest.raises(RootRefused, match="2 more holders of root 1"):
        next_root(first_root(FIRST), made)


def test_a_root_that_skips_a_version_is_refused() -> None:
    made = root(3, PEOPLE, PEOPLE)
    with pytest.raises(RootRefused, match="does not follow"):
        next_root(first_root(FIRST), made)
    found = climb(first_root(FIRST), {1: FIRST, 3: made}, NOW)
    assert found.root is not None
    assert found.root.version == 1
    assert found.refused is not None
    assert "put 2.root.json beside it" in found.refused.next_step


def test_an_older_root_is_a_rollback() -> None:
    second = next_root(first_root(FIRST), root(2, PEOPLE, PEOPLE))
    with pytest.raises(RootRefused) as caught:
        next_root(second, FIRST)
    assert caught.value.fault is Fault.ROLLBACK
    found = climb(second, {1: FIRST}, NOW)
    assert found.root == second
    assert found.refused is not None
    assert found.refused.fault is Fault.ROLLBACK


def test_another_root_of_the_same_version_is_a_rollback_and_one_more_signature_is_not() -> None:
    trusted = first_root(FIRST)
    other = root(1, PEOPLE, PEOPLE, expires_at=NOW + 200 * DAY)
    found = climb(trusted, {1: other}, NOW)
    assert found.refused is not None
    assert found.refused.fault is Fault.ROLLBACK
    more = with_signature(FIRST, pub("cat"), sign(key("cat"), _payload(FIRST)))
    assert climb(trusted, {1: more}, NOW).refused is None


def test_signatures_of_one_root_are_not_believed_on_another() -> None:
    mixed = json.loads(root(2, ("dan", "eve"), ()))
    mixed["signatures"] = json.loads(root(2, PEOPLE, PEOPLE))["signatures"]
    with pytest.raises(RootRefused, match="2 more holders of root 1"):
        next_root(first_root(FIRST), json.dumps(mixed).encode())


def test_t41_one_key_under_two_ids_is_refused() -> None:
    document = json.loads(root(1, ("ann", "bob"), ("ann", "bob")))
    signed = document["signed"]
    twin = dict(signed["keys"][pub("ann").fingerprint], **{HOLDER: "another"})
    signed["keys"]["f" * 64] = twin
    signed["roles"]["root"]["keyids"] = [pub("ann").fingerprint, "f" * 64]
    with pytest.raises(RootRefused, match="stands there twice"):
        read_root(json.dumps(document).encode())


def test_t41_one_key_in_two_encodings_is_refused() -> None:
    document = json.loads(root(1, ("ann", "bob"), ("ann", "bob")))
    signed = document["signed"]
    entry = signed["keys"][pub("ann").fingerprint]
    public = entry["keyval"]["public"].replace(
        "-----BEGIN PUBLIC KEY-----\n", "-----BEGIN PUBLIC KEY-----\n\n"
    )
    assert parse_public_key(public.encode()) == pub("ann")
    signed["keys"]["e" * 64] = dict(entry, keyval={"public": public}, **{HOLDER: "x"})
    signed["roles"]["root"]["keyids"].append("e" * 64)
    with pytest.raises(RootRefused, match="stands there twice"):
        read_root(json.dumps(document).encode())


def test_one_person_with_two_keys_is_refused() -> None:
    document = json.loads(root(1, ("ann", "bob"), ()))
    for each in document["signed"]["keys"].values():
        each[HOLDER] = "ann"
    with pytest.raises(RootRefused, match="one person"):
        read_root(json.dumps(document).encode())


@pytest.mark.parametrize("threshold", [0, 4])
def test_t41_a_threshold_that_nobody_or_everybody_meets_is_refused(threshold: int) -> None:
    document = json.loads(root(1, PEOPLE, PEOPLE))
    document["signed"]["roles"]["root"]["threshold"] = threshold
    with pytest.raises(RootRefused):
        read_root(json.dumps(document).encode())
    with pytest.raises((BadInput, RootRefused, ValueError)):
        root(1, PEOPLE, (), threshold=threshold)


def test_an_expired_root_is_not_taken_and_one_in_between_may_have_expired() -> None:
    trusted = first_root(FIRST)
    second = root(2, PEOPLE, PEOPLE, expires_at=NOW - DAY)
    third = root(3, PEOPLE, PEOPLE)
    found = climb(trusted, {2: second}, NOW)
    assert found.root == trusted
    assert found.refused is not None
    assert found.refused.fault is Fault.EXPIRED
    found = climb(trusted, {2: second, 3: third}, NOW)
    assert found.root is not None
    assert found.root.version == 3
    assert [each.version for each in found.taken] == [2, 3]


def test_what_leads_up_is_taken_as_far_as_it_is_good() -> None:
    second, bad = root(2, PEOPLE, ("ann", "cat")), root(3, PEOPLE, ("ann",))
    found = climb(None, {1: FIRST, 2: second, 3: bad}, NOW)
    assert found.root is not None
    assert found.root.version == 2
    assert found.refused is not None


def test_a_file_of_another_number_than_its_root_is_refused() -> None:
    found = climb(first_root(FIRST), {1: FIRST, 3: root(2, PEOPLE, PEOPLE)}, NOW)
    assert found.refused is not None
    assert not found.taken


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["signed"].update(version="2"),
        lambda d: d["signed"].update(version=0),
        lambda d: d["signed"].update(_type="targets"),
        lambda d: d["signed"].update(expires="tomorrow"),
        lambda d: d["signed"]["roles"].pop("targets"),
        lambda d: d["signed"]["roles"]["root"].update(keyids=["0" * 64, "1" * 64]),
        lambda d: d["signed"].update({SECTION: []}),
        lambda d: d["signed"].update({SECTION: {"owners": {"dora": "x"}}}),
        lambda d: d["signed"].update({SECTION: {"owners": {"dora": [{"pem": "x"}]}}}),
        lambda d: d["signed"].update({SECTION: {"owners": {}, "more": 1}}),
        lambda d: d["signed"].update({SECTION: {"policies": {"p": {"threshold": 0}}}}),
        lambda d: d["signed"].update({SECTION: {"policies": {"p": {"threshold": True}}}}),
        lambda d: d["signed"].update({SECTION: {"policies": {"p": {"required": ["nobody"]}}}}),
        lambda d: d["signed"][SECTION]["owners"]["dora"][0].update(revoked="no"),
        lambda d: d["signed"][SECTION]["owners"]["dora"][0].update(expires="soon"),
        lambda d: d["signed"][SECTION]["owners"]["dora"].append(
            d["signed"][SECTION]["owners"]["devi"][0]
        ),
        lambda d: next(iter(d["signed"]["keys"].values())).update(scheme="rsassa-pss-sha256"),
    ],
)  # fmt: skip
def test_a_root_that_can_be_misread_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    document = json.loads(FIRST)
    change(document)
    with pytest.raises(RootRefused):
        read_root(json.dumps(document).encode())


def test_a_member_that_is_given_twice_is_refused() -> None:
    twice = FIRST.replace(b'"version": 1', b'"version": 1, "version": 9', 1)
    assert twice != FIRST
    with pytest.raises(RootRefused):
        read_root(twice)


@given(st.binary(max_size=300))
def test_no_bytes_make_a_root_fail_otherwise(data: bytes) -> None:
    with pytest.raises(RootRefused):
        read_root(data)


def test_python_tufs_own_client_takes_the_same_rotation_and_refuses_the_same() -> None:
    good = root(2, ("bob", "cat", "dan"), ("ann", "bob", "dan"))
    bad = root(2, ("bob", "cat", "dan"), ("dan", "cat"))
    theirs = TrustedMetadataSet(FIRST, _envelope())
    theirs.update_root(good)
    assert theirs.root.version == 2
    with pytest.raises(Exception, match="root"):
        TrustedMetadataSet(FIRST, _envelope()).update_root(bad)


def test_a_changed_draft_has_lost_its_signatures() -> None:
    data = with_section(FIRST, section(dora="devi"))
    assert signed_by(read_root(data), None).new == ()


def test_a_next_draft_keeps_people_and_owners() -> None:
    data = next_draft(read_root(FIRST), expires_at=NOW + DAY)
    made = read_root(data)
    assert (made.version, [each.name for each in made.holders]) == (2, list(PEOPLE))
    assert made.owners == read_root(FIRST).owners


def test_a_key_is_added_ended_and_revoked() -> None:
    made = with_key(section(dora="dora"), "dora", pub("new").pem)
    ended = with_ends(section_of(FIRST), "dora", "2027-01-31")
    revoked = with_revoked(made, "dora", pub("dora").fingerprint)
    keys = {k.key.fingerprint: k for k in _owners(revoked)}
    assert keys[pub("dora").fingerprint].revoked
    assert not keys[pub("new").fingerprint].revoked
    [first] = [k for k in _owners(ended) if k.owner == "dora"]
    assert first.expires_at == 1801353600.0
    with pytest.raises(BadInput, match="no such key"):
        with_revoked(made, "dora", pub("eve").fingerprint)
    with pytest.raises(RootRefused, match="stands there twice"):
        _owners(with_key(revoked, "dora", pub("dora").pem))
    assert _floors(with_floor(made, "prod", threshold=2, owners=["dora"])) == 2


def test_a_grace_holds_for_its_own_root_between_its_times_and_not_before_the_end() -> None:
    trusted = read_root(FIRST)
    end = trusted.expires_at
    given = given_grace(trusted, grace(trusted, "ann", "bob"), end)
    times = (end - 1, end, end + 3 * DAY - 1, end + 3 * DAY)
    told = [standing(trusted, given, at) for at in times]
    assert told == [Standing.VALID, Standing.GRACE, Standing.GRACE, Standing.EXPIRED]
    other = read_root(root(2, PEOPLE, PEOPLE, expires_at=end))
    assert standing(other, given, end) is Standing.EXPIRED
    assert standing(trusted, None, end) is Standing.EXPIRED


@dataclass
class History:
    """What the model knows: the holders and the threshold of the root that is trusted."""

    holders: frozenset[str] = frozenset(PEOPLE)
    threshold: int = 2
    version: int = 1


NAMES = ("ann", "bob", "cat", "dan")
STEP = st.tuples(
    st.sets(st.sampled_from(NAMES), min_size=1),
    st.integers(1, 4),
    st.sets(st.sampled_from(NAMES)),
    st.sampled_from([-1, 0, 1, 1, 1, 2]),
)


@settings(max_examples=60)
@given(st.lists(STEP, max_size=5))
def test_whole_histories_go_as_the_model_says(
    steps: list[tuple[set[str], int, set[str], int]],
) -> None:
    model, trusted = History(), first_root(FIRST)
    for holders, threshold, signers, ahead in steps:
        threshold = min(threshold, len(holders))
        version = max(1, model.version + ahead)
        made = root(version, sorted(holders), sorted(signers), threshold=threshold)
        good = (
            version == model.version + 1
            and len(signers & model.holders) >= model.threshold
            and len(signers & holders) >= threshold
        )
        found = climb(trusted, {version: made}, NOW)
        assert bool(found.taken) == good
        assert found.root is not None
        assert found.root.version >= trusted.version
        if good:
            model = History(frozenset(holders), threshold, version)
        trusted = found.root
        assert trusted.version == model.version


def _payload(data: bytes) -> bytes:
    return Metadata[Root].from_bytes(data).signed_bytes


def _envelope():  # type: ignore[no-untyped-def]
    from tuf.ngclient.config import EnvelopeType

    return EnvelopeType.METADATA


def _owners(made):  # type: ignore[no-untyped-def]
    return read_root(_draft(made)).owners.keys


def _floors(made) -> int:  # type: ignore[no-untyped-def]
    return read_root(_draft(made)).owners.floors["prod"].threshold


def _draft(made) -> bytes:  # type: ignore[no-untyped-def]
    return draft(version=1, expires_at=NOW, threshold=1, holders={"ann": pub("ann")}, section=made)
