"""What siblings write to each other: purges, and the question for a stored response.

Owns the words, their JSON and their bounds. Never holds a key and never sends: what is signed is
`signed_bytes`, so that a letter is good for one reader, one path and one direction, and an answer
for one question. A letter that is sent twice changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from skerry.base.errors import BadInput, Party
from skerry.cdn.core.key import KEY_BYTES_MAX, CacheKey
from skerry.cdn.core.purge_log import MISSED_MAX, Missed, Record

CONTEXT = b"skerry-sibling/1\n"
"""Before the signed bytes, so that the key's signature over anything else is no letter."""
LETTER_BYTES_MAX = 8 << 20
QUESTION_BYTES_MAX = 256 << 10
NODES_MAX = 1000
NAME_BYTES_MAX = 64
NUMBER_MAX = 2**53 - 1
NONCE_HEX = 32

_L = TypeVar("_L", "Purged", "Wanted", "Found")


@dataclass(frozen=True, slots=True)
class Purged:
    """What the writer knows of purges; question and answer look alike.

    Attributes:
        to: the reader, by the fingerprint of its key.
        nonce: drawn by whoever asks, the same in the answer.
        node: the writer's name in the purge log.
        vector: the last purge of every node that is durable with the writer.
        adopt, records: what the reader has not heard of, as far as the writer knows.
    """

    to: str
    nonce: str
    node: str
    vector: dict[str, int] = field(default_factory=dict)
    adopt: dict[str, int] = field(default_factory=dict)
    records: tuple[Record, ...] = ()

    @property
    def missed(self) -> Missed:
        """What it has for its reader."""
        return Missed(self.records, self.adopt)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The question for the stored response of a key, or (with `digest`) for its body.

    `fields` are those of the request, for `Vary`; `offset_bytes` is where the body is to begin.
    """

    to: str
    nonce: str
    key: CacheKey
    fields: tuple[tuple[str, str], ...] = ()
    digest: str = ""
    offset_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The answer: a stored response without its body, or (status 0) that there is none to give.

    `headers` are as stored, with `Age` as of now; `digest` is "" for an empty body. `vector` is
    the writer's: whoever knows more purges than it must not take the response.
    """

    to: str
    nonce: str
    vector: dict[str, int]
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    size_bytes: int = 0
    digest: str = ""


def write(letter: Purged | Wanted | Found) -> bytes:
    """A letter as it is sent."""
    return msgspec.json.encode(letter)


def read(kind: type[_L], body: bytes) -> _L:
    """The letter that was sent. Raises BadInput for anything else, and beyond the bounds."""
    if len(body) > (LETTER_BYTES_MAX if kind is Purged else QUESTION_BYTES_MAX):
        raise _unreadable("too long")
    try:
        letter = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(str(error)) from error
    if len(letter.nonce) > NONCE_HEX or len(letter.to) > NAME_BYTES_MAX:
        raise _unreadable("to and nonce are too long")
    if isinstance(letter, Purged):
        _check_purged(letter)
    if isinstance(letter, Wanted):
        key = letter.key
        if len(key.text) > 2 * KEY_BYTES_MAX or not key.text.isascii():
            raise _unreadable("the key is none")
        _check_numbers([letter.offset_bytes])
    if isinstance(letter, Found):
        _check_vector(letter.vector)
        _check_numbers([letter.size_bytes])
    return letter


def signed_bytes(path: str, body: bytes, *, answer: bool) -> bytes:
    """What the writer signs."""
    return CONTEXT + path.encode() + (b"\nanswer\n" if answer else b"\nquestion\n") + body


def _check_purged(letter: Purged) -> None:
    for vector in (letter.vector, letter.adopt):
        _check_vector(vector)
    if len(letter.records) > MISSED_MAX:
        raise _unreadable("too many records")
    for record in letter.records:
        texts = (record.target.scope, record.target.value)
        if len(record.node) > NAME_BYTES_MAX or any(len(text) > KEY_BYTES_MAX for text in texts):
            raise _unreadable("a record is too long")
        _check_numbers([record.sequence - 1])


def _check_vector(vector: dict[str, int]) -> None:
    if len(vector) > NODES_MAX or any(not 0 < len(node) <= NAME_BYTES_MAX for node in vector):
        raise _unreadable("too many nodes, or too long a name")
    _check_numbers(vector.values())


def _check_numbers(numbers: Iterable[int]) -> None:
    if not all(0 <= number < NUMBER_MAX for number in numbers):
        raise _unreadable("a number is out of bounds")


def _unreadable(why: str) -> BadInput:
    return BadInput(f"that is no sibling's letter: {why[:200]}", party=Party.CLIENT)
