"""What the budget asks of the rest of the node: a ledger, and meters to read.

Owns the Protocols and their errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from skerry.base.errors import Party, SkerryError
from skerry.budget.core.outcomes import Earned, Outcome
from skerry.budget.core.usage import Amounts, Dimension, Hour


class LedgerUnusable(SkerryError):
    """The ledger cannot be opened, read or written."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class LedgerStatistics:
    """A snapshot.

    Attributes:
        closed_count: closed buckets since ever.
        row_count: rows of them that are kept by the minute.
        chain: the mark over all of them, "" before the first.
        open_bucket: the one that is being filled, seconds since the epoch; 0 for none.
    """

    closed_count: int
    row_count: int
    chain: str
    open_bucket: int
    file_bytes: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What reading the whole ledger again found: `broken_at` is the first bad closing, or the first
    bad outcome where all closings are sound; 0 none."""

    closings: int
    rows: int
    chain: str
    broken_at: int
    why: str = ""
    outcomes: int = 0


class Ledger(Protocol):
    """Usage by bucket and dimension. What is closed never changes."""

    async def note(self, bucket: int, used: Mapping[Dimension, Amounts]) -> None:
        """Adds to the bucket that began at `bucket`; another one than before closes that first.

        Survives the death of the process when it returns; what is closed, the loss of power too.
        It is carried out though its asker leaves. Raises LedgerUnusable: nothing of it was added.
        """

    def hours(self, start: int, stop: int) -> Sequence[Hour]:
        """What was used from hour to hour, the open bucket included. Raises LedgerUnusable."""

    def minutes(self, start: int, stop: int) -> Sequence[Hour]:
        """The same by bucket, as long as buckets are kept; `start` of each is the bucket's."""

    def span(self) -> tuple[int, int]:
        """From the first hour of which there are rows to the end of the last one; (0, 0) without
        rows. Raises LedgerUnusable."""

    async def fold(self, before: int) -> int:
        """Keeps only the hours of what is older than `before`, a full hour; how many rows went."""

    def verify(self) -> Proof:
        """Reads every closed bucket and compares its mark. May take seconds."""

    def noted(self, name: str) -> str:
        """A text kept beside the rows, "" when there is none."""

    async def keep(self, name: str, text: str) -> None:
        """Keeps a text under a name; on the disk when it returns."""

    async def report(self, outcome: Outcome) -> bool:
        """Keeps what a workflow brought in, sealed as the rest; False for one that is there.

        On the disk when it returns. Raises BadInput for a key that said something else, or when
        there are too many; LedgerUnusable.
        """

    def outcomes(self, start: int, stop: int, count_max: int) -> Sequence[Outcome]:
        """The latest reports of a time, newest first."""

    def earned(self, start: int, stop: int) -> Sequence[Earned]:
        """The sums of a time, by workflow and currency."""

    def statistics(self) -> LedgerStatistics:
        """A snapshot."""


class MeterBlind(SkerryError):
    """A meter cannot be read now."""

    party = Party.NODE


class Probe(Protocol):
    """Something that is read every second or so."""

    def read(
        self, elapsed_seconds: float, used: Mapping[Dimension, Amounts]
    ) -> Mapping[Dimension, Amounts]:
        """What was used since it was read last, at once and from memory.

        `used` is what requests used meanwhile, to share out by. Raises MeterBlind.
        """
