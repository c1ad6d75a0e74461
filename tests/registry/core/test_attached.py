"""What is attached to an image goes with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.base.digest import Digest, digest_of
from skerry.registry.core.attached import gathered

INDEX, CHILD, OTHER, SIGNATURE, NOTE = (digest_of(bytes([n])) for n in range(5))
ALL = (INDEX, CHILD, OTHER, SIGNATURE, NOTE)


def parts(*roots: Digest) -> dict[Digest, set[Digest]]:
    return {root: {root} for root in roots}


def test_a_signature_goes_with_its_image() -> None:
    found = gathered(parts(INDEX, OTHER, SIGNATURE), {SIGNATURE: INDEX})
    assert found == {INDEX: {INDEX, SIGNATURE}, OTHER: {OTHER}}


def test_a_signature_of_a_child_goes_with_the_index_and_a_note_on_it_too() -> None:
    held = {INDEX: {INDEX, CHILD}, SIGNATURE: {SIGNATURE}, NOTE: {NOTE}}
    found = gathered(held, {SIGNATURE: CHILD, NOTE: SIGNATURE})
    assert found == {INDEX: {INDEX, SIGNATURE, NOTE}}


def test_what_two_images_share_keeps_its_signature_with_both() -> None:
    held = {INDEX: {INDEX, CHILD}, OTHER: {OTHER, CHILD}, SIGNATURE: {SIGNATURE}}
    found = gathered(held, {SIGNATURE: CHILD})
    assert found == {INDEX: {INDEX, SIGNATURE}, OTHER: {OTHER, SIGNATURE}}


def test_without_its_image_or_in_a_circle_it_stands_alone() -> None:
    assert gathered(parts(SIGNATURE), {SIGNATURE: INDEX}) == {SIGNATURE: {SIGNATURE}}
    circle = gathered(parts(SIGNATURE, NOTE), {SIGNATURE: NOTE, NOTE: SIGNATURE})
    assert circle == {SIGNATURE: {SIGNATURE}, NOTE: {NOTE}}


@given(
    st.dictionaries(st.sampled_from(ALL), st.sets(st.sampled_from(ALL))),
    st.dictionaries(st.sampled_from(ALL), st.sampled_from(ALL)),
)
def test_every_root_goes_with_something(
    below: dict[Digest, set[Digest]], subjects: dict[Digest, Digest]
) -> None:
    held = {root: {root, *part} for root, part in below.items()}
    found = gathered(held, subjects)
    assert set().union(*found.values()) == held.keys()
    assert all(found.values())
