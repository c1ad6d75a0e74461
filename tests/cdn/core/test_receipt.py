"""Receipts that cannot be edited, moved, repeated or left out unnoticed."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.chain import GENESIS, NUMBER_MAX, Anchor, Finding, Flaw, canonical
from skerry.base.errors import BadInput
from skerry.cdn.core.purge import Kind, Mode, Target
from skerry.cdn.core.receipt import Receipt, issue, read, verify

KEY = b"the key of node a"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def sign(message: bytes, key: bytes = KEY) -> bytes:
    """A twin: whoever has the key can also sign. Enough to see what is covered."""
    return hmac.digest(key, message, "sha512")


def check(public_key: bytes, signature: bytes, message: bytes) -> bool:
    return hmac.compare_digest(sign(message, public_key), signature)


def chain(count: int, *, node: str = "a", key: bytes = KEY) -> list[Receipt]:
    made: list[Receipt] = []
    for number in range(count):
        made.append(
            issue(
                made[-1] if made else None,
                node=node,
                target=Target(Kind.KEY, "", f"item-{number}"),
                mode=Mode.HARD,
                object_count=number,
                at_milliseconds=1_700_000_000_000 + number,
                sign=lambda message: sign(message, key),
            )
        )
    return made


def lines(count: int) -> list[bytes]:
    return [receipt.line for receipt in chain(count)]


def flaws(given_lines: list[bytes], *anchors: Anchor, key: bytes = KEY) -> list[tuple[Flaw, int]]:
    found = verify(given_lines, public_key=key, check=check, anchors=anchors)
    assert all(isinstance(item, Finding) and item.sentence for item in found)
    return [(item.flaw, item.line) for item in found]


def test_a_whole_chain_is_in_order() -> None:
    assert flaws(lines(5)) == []
    assert flaws(lines(5)[2:]) == []
    assert flaws([]) == []


def test_the_chain_can_be_followed_with_sha256sum() -> None:
    first, second = lines(2)
    assert json.loads(first)["previous"] == GENESIS
    assert json.loads(second)["previous"] == hashlib.sha256(first).hexdigest()


def test_an_edit_breaks_the_signature_and_the_chain_after_it() -> None:
    edited = lines(3)
    edited[1] = edited[1].replace(b'"object_count":1', b'"object_count":9')
    assert flaws(edited) == [(Flaw.EDITED, 2), (Flaw.BROKEN_CHAIN, 3)]


def test_another_key_is_not_believed() -> None:
    assert flaws(lines(1), key=b"another") == [(Flaw.EDITED, 1)]


def test_a_missing_a_moved_and_a_repeated_receipt_are_found() -> None:
    a, b, c, d = lines(4)
    assert flaws([a, c, d]) == [(Flaw.GAP, 2)]
    assert flaws([a, b, b, c]) == [(Flaw.REPLAYED, 3)]
    assert flaws([a, c, b, d]) == [(Flaw.GAP, 2), (Flaw.REORDERED, 3)]


def test_a_rewritten_past_does_not_join_the_present() -> None:
    other = chain(2, node="a")
    forged = issue(
        None,
        node="a",
        target=Target(Kind.HOST, "", "b.org"),
        mode=Mode.SOFT,
        object_count=0,
        at_milliseconds=1,
        sign=sign,
    )
    assert flaws([forged.line, other[1].line]) == [(Flaw.BROKEN_CHAIN, 2)]


def test_another_nodes_receipt_does_not_belong() -> None:
    mine, theirs = chain(1), chain(2, node="b")
    assert flaws([mine[0].line, theirs[1].line]) == [(Flaw.OTHER_NODE, 2)]


def test_a_cut_off_end_shows_against_a_note_of_it() -> None:
    whole = chain(3)
    note = Anchor(3, whole[2].digest)
    assert flaws([r.line for r in whole], note) == []
    assert flaws([r.line for r in whole[:2]], note) == [(Flaw.CUT_SHORT, 0)]


def test_a_first_receipt_has_none_before_it() -> None:
    fields = (Target(Kind.HOST, "", "a"), Mode.SOFT, 0, 0)
    assert flaws([Receipt("a", 1, "1" * 64, *fields, "").line])[-1] == (Flaw.BROKEN_CHAIN, 1)
    assert flaws([Receipt("a", 2, GENESIS, *fields, "").line])[-1] == (Flaw.BROKEN_CHAIN, 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: b"",
        lambda line: b"[]",
        lambda line: b"\xff",
        lambda line: b"[" * 15_000,
        lambda line: line + b" ",
        lambda line: line.replace(b":", b": ", 1),
        lambda line: line.replace(b'"version":1', b'"version":1.0'),
        lambda line: line.replace(b'"version":1', b'"version":2'),
        lambda line: line.replace(b'"version":1', b'"version":true'),
        lambda line: line.replace(b'"version":1', b'"version":1,"version":1'),
        lambda line: line.replace(b'"version":1', b'"version":1,"x":1'),
        lambda line: line.replace(b'"object_count":0', b'"object_count":-1'),
        lambda line: line.replace(b'"object_count":0', b'"object_count":9007199254740993'),
        lambda line: line.replace(b'"mode":"hard"', b'"mode":"HARD"'),
        lambda line: line.replace(b"item-0", b"\\u0069tem-0"),
        lambda line: line.replace(b"item-0", b"\\ud800"),
        lambda line: line.replace(b"item-0", b"i" * 20_000),
    ],
)
def test_only_the_canonical_line_is_a_receipt(spoil: object) -> None:
    line = spoil(lines(1)[0])  # type: ignore[operator]
    with pytest.raises(BadInput):
        read(line)
    assert flaws([line]) == [(Flaw.UNREADABLE, 1)]


def test_a_signature_has_one_spelling() -> None:
    line = lines(1)[0]
    assert line.count(b'=="') == 1
    last = line[line.index(b'=="') - 1 : line.index(b'=="')]
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = digits[digits.index(last) + 1 :][:1]
    assert flaws([line.replace(last + b'=="', other + b'=="')]) == [(Flaw.EDITED, 1)]


def test_numbers_without_a_canonical_form_are_refused() -> None:
    assert canonical({"a": NUMBER_MAX}) == b'{"a":9007199254740991}'
    with pytest.raises(BadInput):
        canonical({"a": NUMBER_MAX + 1})
    with pytest.raises(BadInput):
        canonical({"a": "\ud800"})


@given(TEXT, TEXT, st.integers(0, NUMBER_MAX))
def test_what_is_written_is_read(scope: str, value: str, count: int) -> None:
    made = issue(
        None,
        node="a",
        target=Target(Kind.URL, scope, value),
        mode=Mode.SOFT,
        object_count=count,
        at_milliseconds=count,
        sign=sign,
    )
    assert read(made.line) == made
    assert flaws([made.line]) == []


@given(st.data())
def test_no_byte_can_be_changed_unnoticed(data: st.DataObject) -> None:
    whole = lines(3)
    which = data.draw(st.integers(0, 2))
    place = data.draw(st.integers(0, len(whole[which]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != whole[which][place]))
    whole[which] = whole[which][:place] + bytes([byte]) + whole[which][place + 1 :]
    assert flaws(whole)


@given(st.permutations(range(6)), st.integers(0, 6))
def test_any_other_order_or_selection_is_noticed(order: list[int], count: int) -> None:
    made = chain(6)
    chosen = order[:count]
    note = Anchor(6, made[-1].digest)
    found = flaws([made[n].line for n in chosen], note)
    whole = chosen == list(range(6 - count, 6)) and count > 0
    assert (not found) == whole


def test_ed25519_signs_and_checks_as_it_stands() -> None:
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    serial = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    raw = (serial.Encoding.Raw, serial.PublicFormat.Raw)
    invalid = pytest.importorskip("cryptography.exceptions").InvalidSignature
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))

    def genuine(public_key: bytes, signature: bytes, message: bytes) -> bool:
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        except invalid:
            return False
        return True

    target = Target(Kind.HOST, "", "a.org")
    made = issue(
        None,
        node="a",
        target=target,
        mode=Mode.HARD,
        object_count=1,
        at_milliseconds=1,
        sign=private.sign,
    )
    public = private.public_key().public_bytes(*raw)
    assert verify([made.line], public_key=public, check=genuine) == ()
    other = ed25519.Ed25519PrivateKey.from_private_bytes(b"1" * 32).public_key()
    assert verify([made.line], public_key=other.public_bytes(*raw), check=genuine) != ()
