"""The sealed form: opened in any place but its own, cut or changed, it does not open."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.cdn.vault.sealing import (
    HEADER_BYTES,
    Header,
    Sealer,
    Unsealable,
    VaultKey,
    open_header,
    seal_header,
)

KEY = VaultKey(bytes(range(32)))
DRAW = Random(5).randbytes


def sealed(plain: bytes, name: str = "c/ab/one", key: VaultKey = KEY) -> tuple[Header, list[bytes]]:
    header = seal_header(
        key, name, b"meta", draw=DRAW, size_bytes=len(plain), chunk_bytes=64, part_chunks=2
    )
    sealer = Sealer(header)
    pieces = [plain[at : at + 64] for at in range(0, len(plain), 64)]
    return header, [sealer.seal(number, piece, DRAW) for number, piece in enumerate(pieces)]


@given(st.binary(min_size=1, max_size=1000))
def test_what_was_sealed_opens_as_it_was(plain: bytes) -> None:
    header, chunks = sealed(plain)
    opened = open_header(KEY, "c/ab/one", header.sealed + b"more")
    assert (opened.meta, opened.size_bytes, opened.parts) == (b"meta", len(plain), header.parts)
    sealer = Sealer(opened)
    assert b"".join(sealer.open(n, chunk) for n, chunk in enumerate(chunks)) == plain


@settings(max_examples=200)
@given(st.data())
def test_one_turned_bit_anywhere_is_noticed(data: st.DataObject) -> None:
    header, chunks = sealed(b"x" * 200)
    whole = [header.sealed, *chunks]
    which = data.draw(st.integers(0, len(whole) - 1))
    at = data.draw(st.integers(0, len(whole[which]) * 8 - 1))
    turned = bytearray(whole[which])
    turned[at // 8] ^= 1 << at % 8
    if which == 0:
        with pytest.raises(Unsealable):
            open_header(KEY, "c/ab/one", bytes(turned))
    else:
        with pytest.raises(Unsealable):
            Sealer(header).open(which - 1, bytes(turned))


def test_chunks_do_not_open_in_each_other_s_place() -> None:
    header, chunks = sealed(b"a" * 64 + b"b" * 64 + b"c" * 64)
    sealer = Sealer(header)
    for number in range(3):
        for other in range(3):
            if number != other:
                with pytest.raises(Unsealable):
                    sealer.open(number, chunks[other])


def test_a_body_that_was_cut_at_a_chunk_is_not_a_shorter_body() -> None:
    header, chunks = sealed(b"a" * 192)
    shorter = Sealer(replace(header, size_bytes=128))
    with pytest.raises(Unsealable):
        shorter.open(1, chunks[1])
    with pytest.raises(Unsealable):
        Sealer(header).open(2, b"")
    with pytest.raises(Unsealable):
        Sealer(header).open(2, chunks[2][:-1])


def test_an_object_moved_to_another_name_does_not_open() -> None:
    header, chunks = sealed(b"a" * 64)
    with pytest.raises(Unsealable):
        open_header(KEY, "c/ab/two", header.sealed)
    with pytest.raises(Unsealable):
        Sealer(replace(header, name="c/ab/two")).open(0, chunks[0])


def test_chunks_of_another_object_do_not_open() -> None:
    one, _ = sealed(b"a" * 64)
    _, other = sealed(b"a" * 64)
    with pytest.raises(Unsealable):
        Sealer(one).open(0, other[0])


def test_another_key_is_told_from_damage() -> None:
    header, _ = sealed(b"a", key=VaultKey(bytes(32)))
    with pytest.raises(Unsealable, match="another key"):
        open_header(KEY, "c/ab/one", header.sealed)


@pytest.mark.parametrize("data", [b"", b"SKVT", b"PNG" * 100, b"SKVT\x02" + bytes(HEADER_BYTES)])
def test_what_is_no_sealed_copy_is_said_so(data: bytes) -> None:
    with pytest.raises(Unsealable):
        open_header(KEY, "c/ab/one", data)


def test_equal_bodies_are_sealed_unequally_and_no_nonce_comes_twice() -> None:
    _, one = sealed(b"a" * 640)
    _, two = sealed(b"a" * 640)
    nonces = [chunk[:12] for chunk in (*one, *two)]
    assert len(set(nonces)) == len(nonces) == 20
    assert len({chunk[12:] for chunk in (*one, *two)}) == 20


def test_names_say_nothing_and_differ_by_key_and_kind() -> None:
    text = "https://www.example.org/film"
    names = {KEY.name("r", text), KEY.name("c", text), VaultKey(bytes(32)).name("r", text)}
    assert len(names) == 3
    assert KEY.name("r", text) == KEY.name("r", text)
    assert not any("example" in name for name in names)
    assert "secret" not in repr(VaultKey(b"secret" * 6))
