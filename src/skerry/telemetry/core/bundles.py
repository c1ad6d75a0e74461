"""Telemetry bundles: what a node counted and saw in one period, signed and chained.

Owns the form of a bundle and its names. Made to be evidence (requirements S5): numbered without a
gap, each naming the hash of the one before, so that whoever has the public key alone finds what was
edited, left out, moved or sent twice. One bundle is one line of canonical JSON (`base.chain`).
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from skerry.base.chain import (
    Anchor,
    CheckSignature,
    Finding,
    Plain,
    Sign,
    canonical,
    next_link,
)
from skerry.base.chain import verify as verify_chain
from skerry.base.errors import BadInput, Party

CONTEXT = b"skerry-telemetry-bundle/1\n"
"""Before the signed bytes, so that the key's signature over anything else is no bundle."""
VERSION = 1
LINE_BYTES_MAX = 8 << 20
EVENTS_MAX = 2000
"""In one bundle; how many more there were is said."""

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_NUMBERS = ("began_at_milliseconds", "ended_at_milliseconds", "left_out_count", "sequence")
_TEXTS = ("node", "previous", "signature")
_LISTS = ("events", "incidents")

Row = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Contents:
    """What one period was.

    Attributes:
        counters: by sample name with its labels, how much each rose in the period.
        events, incidents: rows of strings and integers; times in milliseconds since the epoch.
        left_out_count: events that there was no room for.
    """

    began_at_milliseconds: int
    ended_at_milliseconds: int
    counters: Mapping[str, int] = field(default_factory=dict)
    events: Sequence[Row] = ()
    incidents: Sequence[Row] = ()
    left_out_count: int = 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle, a link of its chain. `signature` in base64, over `message`."""

    node: str
    sequence: int
    previous: str
    contents: Contents
    signature: str = ""

    @property
    def message(self) -> bytes:
        """What is signed: everything but the signature, with its context before it."""
        fields = self._fields()
        del fields["signature"]
        return CONTEXT + canonical(fields)

    @property
    def line(self) -> bytes:
        """The whole bundle as it is stored and sent, without a line end."""
        return canonical(self._fields())

    def _fields(self) -> dict[str, Plain]:
        contents = self.contents
        return {
            "began_at_milliseconds": contents.began_at_milliseconds,
            "counters": dict(contents.counters),
            "ended_at_milliseconds": contents.ended_at_milliseconds,
            "events": [dict(each) for each in contents.events],
            "incidents": [dict(each) for each in contents.incidents],
            "left_out_count": contents.left_out_count,
            "node": self.node,
            "previous": self.previous,
            "sequence": self.sequence,
            "signature": self.signature,
            "version": VERSION,
        }


def issue(previous: Bundle | None, contents: Contents, *, node: str, sign: Sign) -> Bundle:
    """The bundle after `previous`, None for the first of a chain."""
    sequence, before = next_link(previous)
    draft = Bundle(node, sequence, before, contents)
    return replace(draft, signature=b64encode(sign(draft.message)).decode())


def read(line: bytes) -> Bundle:
    """The bundle of a line. Raises BadInput unless it is canonical to the byte."""
    try:
        found = json.loads(line) if len(line) <= LINE_BYTES_MAX else None
    except (ValueError, RecursionError):
        found = None
    known = {*_NUMBERS, *_TEXTS, *_LISTS, "counters", "version"}
    if not isinstance(found, dict) or found.keys() != known:
        raise _unreadable("it is not an object with the fields of a bundle")
    right = (
        all(type(found[name]) is int for name in _NUMBERS)
        and all(isinstance(found[name], str) for name in _TEXTS)
        and all(isinstance(found[name], list) for name in _LISTS)
        and isinstance(found["counters"], dict)
        and all(type(each) is int for each in found["counters"].values())
        and all(_is_row(row) for name in _LISTS for row in found[name])
    )
    if not right or found["version"] != VERSION:
        raise _unreadable("a field is something else, or the version is unknown")
    contents = Contents(
        found["began_at_milliseconds"],
        found["ended_at_milliseconds"],
        found["counters"],
        found["events"],
        found["incidents"],
        found["left_out_count"],
    )
    bundle = Bundle(
        found["node"], found["sequence"], found["previous"], contents, found["signature"]
    )
    if not _HEX.match(bundle.previous) or bundle.line != line:
        raise _unreadable("it is not in canonical form")
    return bundle


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and all(type(each) in (str, int) for each in row.values())


def verify(
    lines: Sequence[bytes],
    *,
    public_key: bytes,
    check: CheckSignature,
    anchors: Sequence[Anchor] = (),
) -> tuple[Finding, ...]:
    """What is wrong with bundles; nothing when they are whole and in order."""
    return verify_chain(
        lines, read=read, public_key=public_key, check=check, anchors=anchors, called="bundle"
    )


def file_name(public_key: bytes, sequence: int) -> str:
    """What a bundle is called wherever it is put: the same one always has the same name."""
    return f"{hashlib.sha256(public_key).hexdigest()[:16]}-{sequence:012d}.json"


def _unreadable(why: str) -> BadInput:
    return BadInput(f"The line is no bundle: {why}.", party=Party.CLIENT)
