"""The audit of trust: entries in a chain, so that none can be changed or left out unseen.

Owns the form of an entry and the chain's check: each hash is over the hash before it and the bytes
of the entry. Who can write the file can write all of it anew: keep the last hash somewhere else
now and then, and ask whether it still is in the chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

BEGINNING = "0" * 64
_MARK = b"skerry audit v1\x00"


class Deed(StrEnum):
    """What an entry tells of."""

    GLASS_BROKEN = "glass.broken"
    ROOT_TAKEN = "root.taken"
    GRACE_TAKEN = "grace.taken"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done.

    Attributes:
        number: from 1, without gaps.
        text: what was done, as JSON: the very bytes that are hashed.
        hash: over the hash before and the text, hex.
    """

    number: int
    text: str
    hash: str


def entry_text(
    deed: Deed,
    *,
    at: float,
    subject: str,
    who: Iterable[str],
    reason: str,
    more: Mapping[str, str | float | int],
) -> str:
    """What is written down. `at` in seconds since the epoch."""
    document = {
        "deed": deed,
        "at": at,
        "subject": subject,
        "who": sorted(who),
        "reason": reason,
        **more,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def chained(before: str, text: str) -> str:
    """The hash of an entry behind another, hex."""
    return hashlib.sha256(_MARK + bytes.fromhex(before) + text.encode()).hexdigest()


def broken_at(entries: Iterable[Entry]) -> int | None:
    """The first entry that does not follow on the one before it; None when all do."""
    before = BEGINNING
    for number, each in enumerate(entries, 1):
        if each.number != number or each.hash != chained(before, each.text):
            return number
        before = each.hash
    return None
