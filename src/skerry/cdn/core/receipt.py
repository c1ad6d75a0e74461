"""Purge receipts: what was purged, how many objects, when; chained and signed.

Owns the form of a receipt, its chain and the check that finds an edited, missing, moved or repeated
one. Never holds a key: signing and the signature's check are callables (Ed25519, RFC 8032, in the
node). A receipt is one line of canonical JSON (RFC 8785 for the values used here: strings and
integers), and `previous` is the SHA-256 of the line before, so that a chain can be checked with
public tools alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from skerry.base.errors import BadInput, Party
from skerry.cdn.core.purge import Kind, Mode, Target

Sign = Callable[[bytes], bytes]
CheckSignature = Callable[[bytes, bytes, bytes], bool]
"""(public key, signature, message) -> whether the signature is good; must not raise."""

CONTEXT = b"skerry-purge-receipt/1\n"
"""Before the signed bytes, so that the key's signature over anything else is no receipt."""
GENESIS = "0" * 64
"""What the first receipt of a chain names as the one before."""
LINE_BYTES_MAX = 16 * 1024
NUMBER_MAX = 2**53 - 1
"""RFC 8785 section 3.2.2.3: beyond it a number is not the same to every reader."""

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_TEXTS = ("kind", "mode", "node", "previous", "scope", "signature", "value")
_NUMBERS = ("at_milliseconds", "object_count", "sequence", "version")


@dataclass(frozen=True, slots=True)
class Receipt:
    """One purge, on record. `at_milliseconds` since the epoch, when it was ordered; `signature`
    in base64; `ordered_by` the sibling it was learned from, in the purge log's names, or ""."""

    node: str
    sequence: int
    previous: str
    target: Target
    mode: Mode
    object_count: int
    at_milliseconds: int
    signature: str = ""
    ordered_by: str = ""

    @property
    def message(self) -> bytes:
        """What is signed: everything but the signature, with its context before it."""
        fields = self._fields()
        del fields["signature"]
        return CONTEXT + canonical(fields)

    @property
    def line(self) -> bytes:
        """The whole receipt as it is stored and handed out, without a line end."""
        return canonical(self._fields())

    @property
    def digest(self) -> str:
        """What the next one names as `previous`: `sha256sum` of the line."""
        return hashlib.sha256(self.line).hexdigest()

    def _fields(self) -> dict[str, str | int]:
        learned: dict[str, str | int] = {"ordered_by": self.ordered_by} if self.ordered_by else {}
        return learned | {
            "at_milliseconds": self.at_milliseconds,
            "kind": self.target.kind.value,
            "mode": self.mode.value,
            "node": self.node,
            "object_count": self.object_count,
            "previous": self.previous,
            "scope": self.target.scope,
            "sequence": self.sequence,
            "signature": self.signature,
            "value": self.target.value,
            "version": 2 if self.ordered_by else 1,
        }


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
    """One flaw, at the n-th line counted from 1 (0: the chain as a whole)."""

    flaw: Flaw
    line: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """A receipt that somebody noted elsewhere: the chain must hold it."""

    sequence: int
    digest: str


def canonical(fields: dict[str, str | int]) -> bytes:
    """Canonical JSON (RFC 8785) of strings and integers under ASCII names.

    Raises BadInput for a number or a text that has no canonical form.
    """
    for name, value in fields.items():
        if isinstance(value, int) and not 0 <= value <= NUMBER_MAX:
            raise BadInput(f"{name} of a receipt is {value}", next_step="numbers end at 2^53-1")
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadInput("a text of a receipt is no Unicode") from error


def issue(
    previous: Receipt | None,
    *,
    node: str,
    target: Target,
    mode: Mode,
    object_count: int,
    at_milliseconds: int,
    ordered_by: str = "",
    sign: Sign,
) -> Receipt:
    """The receipt after `previous`, None for the first of a chain."""
    sequence, before = (previous.sequence + 1, previous.digest) if previous else (1, GENESIS)
    draft = Receipt(
        node,
        sequence,
        before,
        target,
        mode,
        object_count,
        at_milliseconds,
        ordered_by=ordered_by,
    )
    return replace(draft, signature=b64encode(sign(draft.message)).decode())


def read(line: bytes) -> Receipt:
    """The receipt of a line. Raises BadInput unless it is canonical to the byte."""
    try:
        fields = json.loads(line) if len(line) <= LINE_BYTES_MAX else None
    except (ValueError, RecursionError):
        fields = None
    known = {*_TEXTS, *_NUMBERS}
    if not isinstance(fields, dict) or fields.keys() not in (known, known | {"ordered_by"}):
        raise _unreadable("it is not an object with the fields of a receipt")
    if not all(isinstance(fields[name], str) for name in fields.keys() - {*_NUMBERS}):
        raise _unreadable("a text is something else")
    version = 2 if fields.get("ordered_by") else 1
    if not all(type(fields[name]) is int for name in _NUMBERS) or fields["version"] != version:
        raise _unreadable("a number is something else, or the version is unknown")
    if fields["kind"] not in {*Kind} or fields["mode"] not in {*Mode}:
        raise _unreadable("kind or mode is unknown")
    receipt = Receipt(
        node=fields["node"],
        sequence=fields["sequence"],
        previous=fields["previous"],
        target=Target(Kind(fields["kind"]), fields["scope"], fields["value"]),
        mode=Mode(fields["mode"]),
        object_count=fields["object_count"],
        at_milliseconds=fields["at_milliseconds"],
        signature=fields["signature"],
        ordered_by=fields.get("ordered_by", ""),
    )
    if not _HEX.match(receipt.previous) or receipt.line != line:
        raise _unreadable("it is not in canonical form")
    return receipt


def verify(
    lines: Sequence[bytes],
    *,
    public_key: bytes,
    check: CheckSignature,
    anchors: Sequence[Anchor] = (),
) -> tuple[Finding, ...]:
    """What is wrong with a chain; nothing when it is whole and in order.

    The chain may begin later than at 1 (older ones are kept elsewhere), but has no holes. That its
    end was cut off shows only against an anchor.
    """
    findings: list[Finding] = []
    seen: dict[int, str] = {}
    last: Receipt | None = None
    for number, line in enumerate(lines, start=1):
        try:
            receipt = read(line)
        except BadInput as error:
            findings.append(Finding(Flaw.UNREADABLE, number, error.what))
            continue
        if not _signed(receipt, public_key, check):
            findings.append(Finding(Flaw.EDITED, number, "The signature is not this receipt's."))
        found = _place(receipt, last, seen)
        if found is not None:
            findings.append(Finding(found[0], number, found[1]))
        seen.setdefault(receipt.sequence, receipt.digest)
        if last is None or receipt.sequence > last.sequence:
            last = receipt
    for anchor in anchors:
        if seen.get(anchor.sequence) != anchor.digest:
            sentence = f"Receipt {anchor.sequence}, noted elsewhere, is not in the chain."
            findings.append(Finding(Flaw.CUT_SHORT, 0, sentence))
    return tuple(findings)


def _place(receipt: Receipt, last: Receipt | None, seen: dict[int, str]) -> tuple[Flaw, str] | None:
    """How a receipt stands to those before it."""
    if last is None:
        first = receipt.sequence == 1
        broken = first != (receipt.previous == GENESIS) or receipt.sequence < 1
        return (Flaw.BROKEN_CHAIN, "The first receipt names one before it.") if broken else None
    if receipt.node != last.node:
        return Flaw.OTHER_NODE, "The receipt is another node's."
    if receipt.sequence in seen:
        return Flaw.REPLAYED, f"Receipt {receipt.sequence} is here twice."
    if receipt.sequence < last.sequence:
        return Flaw.REORDERED, f"Receipt {receipt.sequence} follows receipt {last.sequence}."
    if receipt.sequence > last.sequence + 1:
        return (
            Flaw.GAP,
            f"Between receipts {last.sequence} and {receipt.sequence} some are missing.",
        )
    if receipt.previous != last.digest:
        return Flaw.BROKEN_CHAIN, "The receipt before was another one when this was signed."
    return None


def _signed(receipt: Receipt, public_key: bytes, check: CheckSignature) -> bool:
    try:
        signature = b64decode(receipt.signature, validate=True)
    except Base64Error:
        return False
    if b64encode(signature).decode() != receipt.signature:
        return False  # unused bits of the last digit: two spellings of one signature
    return check(public_key, signature, receipt.message)


def _unreadable(why: str) -> BadInput:
    return BadInput(f"The line is no receipt: {why}.", party=Party.CLIENT)
