"""How far a ledger has come, in a file beside it.

Owns `ledger.mark` (docs/internals/budget.md): the numbers and marks of the newest closing and the
newest outcome that are on the disk, replaced whole, with their sum. A ledger that was salvaged, or
put back from a copy, cannot say of itself what it has lost at its end; this says it. It only rises,
and is written behind the ledger, never before it: a kill leaves it behind and tells of no loss.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from skerry.adapters.file_whole import replace_file
from skerry.budget.core.periods import iso

MARK_FILE = "ledger.mark"
_BYTES_MAX = 1024


class Reached(msgspec.Struct, frozen=True):
    """The newest of each; 0 and "" before the first. `bucket` is when the closing's began."""

    closing: int = 0
    bucket: int = 0
    chain: str = ""
    outcome: int = 0
    outcome_chain: str = ""

    def missing(self, closing: int, outcome: int) -> tuple[str, str]:
        """What a ledger lacks whose newest are these, for people; "" for nothing."""
        closings = outcomes = ""
        if self.closing > closing:
            last = f"the last of the minute {iso(self.bucket)}"
            closings = f"{_newest(closing + 1, self.closing, 'closing')} ({last})"
        if self.outcome > outcome:
            outcomes = _newest(outcome + 1, self.outcome, "outcome")
        return closings, outcomes


class LedgerMark:
    """The mark of one ledger; without a path it is forgotten. May be used by several threads."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._advancing = threading.Lock()
        self._reached = Reached() if path is None else _read(path)

    @property
    def reached(self) -> Reached:
        """How far the ledger had come."""
        return self._reached

    def advance(self, to: Reached) -> None:
        """Says that this is on the disk; what it does not name stays. Blocks until it is durable.

        A disk that takes no writes has the next one say it: until then the mark is behind.
        """
        with self._advancing:
            now = self._reached
            if to.closing > now.closing:
                now = msgspec.structs.replace(
                    now, closing=to.closing, bucket=to.bucket, chain=to.chain
                )
            if to.outcome > now.outcome:
                now = msgspec.structs.replace(
                    now, outcome=to.outcome, outcome_chain=to.outcome_chain
                )
            self._reached = now
            if self._path is not None:
                line = msgspec.json.encode(now)
                with suppress(OSError):
                    replace_file(self._path, line + b"\n" + _sum(line) + b"\n")


def _read(path: Path) -> Reached:
    """What is written there; nothing when there is no mark, or one that is damaged itself."""
    try:
        with path.open("rb") as file:
            line, _, said = file.read(_BYTES_MAX).partition(b"\n")
        if said != _sum(line) + b"\n":
            return Reached()
        return msgspec.json.decode(line, type=Reached)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return Reached()


def _sum(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest().encode()


def _newest(first: int, last: int, what: str) -> str:
    count = last - first + 1
    if count == 1:
        return f"the newest {what}, {first}, is missing"
    return f"the newest {count} {what}s, from {first} on, are missing"
