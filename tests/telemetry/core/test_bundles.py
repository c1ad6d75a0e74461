"""Bundles as evidence: whatever is done to a chain of them is found."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from skerry.app.trust.node_key import check_signature
from skerry.base.chain import Anchor, Flaw, digest_of_line
from skerry.base.errors import BadInput
from skerry.telemetry.core.bundles import Contents, file_name, issue, read, verify
from skerry.telemetry.core.pending import Pending, taken_up

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
EVENT = {"at_milliseconds": 5, "kind": "tag.moved", "subject": "größer \u2028 \U0001f30a"}


def chain(count: int) -> list[bytes]:
    last, lines = None, []
    for number in range(count):
        counters = {'skerry_pulls_total{how="hit"}': number + 1}
        contents = Contents(number * 10, number * 10 + 10, counters, [EVENT], [], number)
        last = issue(last, contents, node="rock", sign=KEY.sign)
        lines.append(last.line)
    return lines


def flaws(lines: list[bytes], *anchors: Anchor) -> list[Flaw]:
    found = verify(lines, public_key=PUBLIC, check=check_signature, anchors=anchors)
    return [each.flaw for each in found]


def independent(lines: list[bytes]) -> bool:
    """What anybody can write in twenty lines, without a word of ours."""
    key = Ed25519PublicKey.from_public_bytes(PUBLIC)
    before = "0" * 64
    for number, line in enumerate(lines, start=1):
        found = json.loads(line)
        signature = b64decode(found.pop("signature"))
        told = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        try:
            key.verify(signature, b"skerry-telemetry-bundle/1\n" + told.encode())
        except InvalidSignature:
            return False
        if found["sequence"] != number or found["previous"] != before:
            return False
        before = hashlib.sha256(line).hexdigest()
    return True


def test_a_whole_chain_is_good_to_us_and_to_anybody() -> None:
    lines = chain(6)
    assert flaws(lines) == []
    assert independent(lines)
    assert flaws(lines[3:]) == [], "what is older may be kept elsewhere"


@pytest.mark.parametrize(
    ("places", "flaw"),
    [
        ((0, 1, 3, 4), Flaw.GAP),
        ((0, 2, 1, 3), Flaw.REORDERED),
        ((0, 1, 1, 2), Flaw.REPLAYED),
        ((0, 1, 2, 0), Flaw.REPLAYED),
    ],
)
def test_what_is_missing_moved_or_sent_twice_is_found(places: tuple[int, ...], flaw: Flaw) -> None:
    lines = chain(5)
    moved = [lines[place] for place in places]
    assert flaw in flaws(moved)
    assert not independent(moved)


def test_an_end_that_was_cut_off_shows_against_a_number_noted_elsewhere() -> None:
    lines = chain(5)
    anchor = Anchor(5, digest_of_line(lines[4]))
    assert flaws(lines, anchor) == []
    assert flaws(lines[:4], anchor) == [Flaw.CUT_SHORT]


def test_a_bundle_of_another_key_is_not_this_nodes() -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    first = read(chain(1)[0])
    forged = issue(first, Contents(10, 20), node="rock", sign=other.sign)
    assert flaws([first.line, forged.line]) == [Flaw.EDITED]


@given(st.integers(0, 2), st.data())
def test_no_byte_can_be_changed(number: int, data: st.DataObject) -> None:
    lines = chain(3)
    line = bytearray(lines[number])
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    lines[number] = bytes(line)
    assert flaws(lines)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"sequence": "1"},
        {"sequence": True},
        {"counters": {"a": "1"}},
        {"events": [{"a": []}]},
        {"more": 1},
        {"previous": "x"},
    ],
)
def test_what_is_no_bundle_is_refused(change: dict[str, object]) -> None:
    found = json.loads(chain(1)[0]) | change
    line = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(BadInput, match="no bundle"):
        read(line)
    assert flaws([line]) == [Flaw.UNREADABLE]


def test_a_line_in_other_blanks_is_no_bundle() -> None:
    with pytest.raises(BadInput, match="canonical"):
        read(json.dumps(json.loads(chain(1)[0])).encode())


def test_the_same_bundle_always_has_the_same_name() -> None:
    assert file_name(PUBLIC, 7) == file_name(PUBLIC, 7)
    assert file_name(PUBLIC, 9) < file_name(PUBLIC, 10), "in the order of their numbers"
    assert file_name(b"x" * 32, 7) != file_name(PUBLIC, 7)


Counts = dict[str, int]


@given(
    st.lists(st.tuples(st.sampled_from(("count", "bundle", "die")), st.integers(0, 5)), max_size=60)
)
def test_every_count_is_bundled_once_whenever_the_node_dies(steps: list[tuple[str, int]]) -> None:
    counted = bundled = sequence = 0
    life: Counts = {}
    pending, kept = Pending(), (0, Counts())
    for step, amount in steps:
        if step == "count":
            life["a"] = life.get("a", 0) + amount
            counted += amount
            kept = (pending.sequence, pending.rise(life))
        elif step == "bundle":
            sequence += 1
            bundled += pending.rise(life).get("a", 0)
            pending = pending.bundled(sequence, life)
            # The file is written a moment later; the node may die before.
        else:
            life = {}
            pending = taken_up(kept[1], of=kept[0], last_sequence=sequence)
    assert bundled + pending.rise(life).get("a", 0) == counted
