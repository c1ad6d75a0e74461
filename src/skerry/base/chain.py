"""Chains of signed records: numbered, each naming the hash of the one before.

Owns canonical JSON (RFC 8785 for strings, integers, lists and objects with ASCII names), the link
between records, and the check that finds an edited, missing, moved or repeated one. Never holds a
key: the signature's check is a callable. `previous` is the SHA-256 of the line before, so that a
chain can be checked with public tools alone.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from skerry.base.errors import BadInput

Sign = Callable[[bytes], bytes]
CheckSignature = Callable[[bytes, bytes, bytes], bool]
"""(public key, signature, message) -> whether the signature is good; must not raise."""
Plain = str | int | Sequence["Plain"] | Mapping[str, "Plain"]

GENESIS = "0" * 64
"""What the first record of a chain names as the one before."""
NUMBER_MAX = 2**53 - 1
"""RFC 8785 section 3.2.2.3: beyond it a number is not the same to every reader."""


class Flaw(StrEnum):
    """What is wrong with a chain. Bounded: a metric label."""

    UNREADABLE = "unreadable"
    EDITED = "edited"
    GAP = "gap"
    REORDERED = "reordered"
    REPLAYED = "replayed"
    OTHER_NODE = "other_node"
    BROKEN_CHAIN = "broken_chain"
    CUT_SHORT = "cut_short"


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw, at the n-th record counted from 1 (0: the chain as a whole)."""

    flaw: Flaw
    line: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """A record that somebody noted elsewhere: the chain must hold it."""

    sequence: int
    digest: str


class Record(Protocol):
    """A link of a chain."""

    @property
    def node(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def previous(self) -> str: ...
    @property
    def signature(self) -> str:
        """In base64."""

    @property
    def message(self) -> bytes:
        """What is signed."""

    @property
    def line(self) -> bytes:
        """The whole record, without a line end."""


Read = Callable[[bytes], Record]
"""The record of a line. Raises BadInput unless it is canonical to the byte."""


def digest_of_line(line: bytes) -> str:
    """What the next record names as `previous`: `sha256sum` of the line."""
    return hashlib.sha256(line).hexdigest()


def canonical(value: Mapping[str, Plain]) -> bytes:
    """Canonical JSON. Raises BadInput for a number or a text that has no canonical form."""
    _check_numbers("", value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadInput("a text of a record is no Unicode") from error


def _check_numbers(name: str, value: Plain) -> None:
    if isinstance(value, Mapping):
        for key, each in value.items():
            _check_numbers(key, each)
    elif isinstance(value, int):
        if not 0 <= value <= NUMBER_MAX:
            raise BadInput(f"{name} of a record is {value}", next_step="numbers end at 2^53-1")
    elif not isinstance(value, str):
        for each in value:
            _check_numbers(name, each)


def next_link(previous: Record | None) -> tuple[int, str]:
    """The number of the record after `previous`, and what it names as the one before."""
    return (previous.sequence + 1, digest_of_line(previous.line)) if previous else (1, GENESIS)


def verify(
    lines: Sequence[bytes],
    *,
    read: Read,
    public_key: bytes,
    check: CheckSignature,
    anchors: Sequence[Anchor] = (),
    called: str = "record",
) -> tuple[Finding, ...]:
    """What is wrong with a chain; nothing when it is whole and in order.

    The chain may begin later than at 1 (older ones are kept elsewhere), but has no holes. That its
    end was cut off shows only against an anchor. `called` is what sentences call a record.
    """
    findings: list[Finding] = []
    seen: dict[int, str] = {}
    last: Record | None = None
    for number, line in enumerate(lines, start=1):
        try:
            record = read(line)
        except BadInput as error:
            findings.append(Finding(Flaw.UNREADABLE, number, error.what))
            continue
        if not is_signed(record, public_key, check):
            sentence = f"The signature is not this {called}'s."
            findings.append(Finding(Flaw.EDITED, number, sentence))
        found = _place(record, last, seen, called)
        if found is not None:
            findings.append(Finding(found[0], number, found[1]))
        seen.setdefault(record.sequence, digest_of_line(record.line))
        if last is None or record.sequence > last.sequence:
            last = record
    for anchor in anchors:
        if seen.get(anchor.sequence) != anchor.digest:
            named = f"{called.capitalize()} {anchor.sequence}"
            sentence = f"{named}, noted elsewhere, is not in the chain."
            findings.append(Finding(Flaw.CUT_SHORT, 0, sentence))
    return tuple(findings)


def _place(
    record: Record, last: Record | None, seen: dict[int, str], called: str
) -> tuple[Flaw, str] | None:
    """How a record stands to those before it."""
    named = called.capitalize()
    if last is None:
        first = record.sequence == 1
        broken = first != (record.previous == GENESIS) or record.sequence < 1
        return (Flaw.BROKEN_CHAIN, f"The first {called} names one before it.") if broken else None
    if record.node != last.node:
        return Flaw.OTHER_NODE, f"The {called} is another node's."
    if record.sequence in seen:
        return Flaw.REPLAYED, f"{named} {record.sequence} is here twice."
    if record.sequence < last.sequence:
        return Flaw.REORDERED, f"{named} {record.sequence} follows {called} {last.sequence}."
    if record.sequence > last.sequence + 1:
        between = f"{called}s {last.sequence} and {record.sequence}"
        return Flaw.GAP, f"Between {between} some are missing."
    if record.previous != digest_of_line(last.line):
        return Flaw.BROKEN_CHAIN, f"The {called} before was another one when this was signed."
    return None


def is_signed(record: Record, public_key: bytes, check: CheckSignature) -> bool:
    """Whether a record's own signature is good."""
    try:
        signature = b64decode(record.signature, validate=True)
    except Base64Error:
        return False
    if b64encode(signature).decode() != record.signature:
        return False  # unused bits of the last digit: two spellings of one signature
    return check(public_key, signature, record.message)
