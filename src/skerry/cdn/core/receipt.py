"""Purge receipts: what was purged, how many objects, when; chained and signed.

Owns the form of a receipt. Never holds a key: signing and the signature's check are callables
(Ed25519, RFC 8032, in the node). Its chain and the check of it are `base.chain`'s.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace

from skerry.base.chain import (
    Anchor,
    CheckSignature,
    Finding,
    Sign,
    canonical,
    digest_of_line,
    next_link,
)
from skerry.base.chain import verify as verify_chain
from skerry.base.errors import BadInput, Party
from skerry.cdn.core.purge import Kind, Mode, Target

CONTEXT = b"skerry-purge-receipt/1\n"
"""Before the signed bytes, so that the key's signature over anything else is no receipt."""
LINE_BYTES_MAX = 16 * 1024

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
        return digest_of_line(self.line)

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
    sequence, before = next_link(previous)
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
    """What is wrong with receipts; nothing when they are whole and in order."""
    return verify_chain(
        lines, read=read, public_key=public_key, check=check, anchors=anchors, called="receipt"
    )


def _unreadable(why: str) -> BadInput:
    return BadInput(f"The line is no receipt: {why}.", party=Party.CLIENT)
