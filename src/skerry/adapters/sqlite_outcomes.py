"""The ledger's rows of outcomes: what workflows brought in, as reported.

Owns their table: only ever added to, each row sealed by the mark of all before it. Never knows
what an order costs.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, replace

from skerry.adapters.ledger_mark import LedgerMark, Reached
from skerry.adapters.sqlite_file import SqliteFile
from skerry.base.errors import BadInput
from skerry.budget.core.outcomes import OUTCOMES_MAX, Earned, Outcome, said_otherwise
from skerry.budget.ports import Proof

_FIELDS = "key, at, workflow, orders, revenue_micro, currency"
PROVEN_AT_ONCE = 10_000
_PART = 10**9
"""Revenue is summed up in two parts: SQLite refuses a sum beyond 64 bits, and with it the report of
a month would be gone for ever, since no row of it can be taken back."""

OUTCOMES_SCHEMA = """
CREATE TABLE outcome (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, workflow TEXT NOT NULL,
    orders INTEGER NOT NULL, revenue_micro INTEGER NOT NULL, currency TEXT NOT NULL,
    chain TEXT NOT NULL
);
CREATE INDEX outcome_by_time ON outcome (at);
CREATE TRIGGER outcome_stays BEFORE UPDATE ON outcome
    BEGIN SELECT RAISE (ABORT, 'an outcome of the ledger never changes'); END;
CREATE TRIGGER outcome_is_kept BEFORE DELETE ON outcome
    BEGIN SELECT RAISE (ABORT, 'an outcome of the ledger stays'); END;
"""


class OutcomeRows:
    """Those of one file."""

    def __init__(self, file: SqliteFile, mark: LedgerMark) -> None:
        self._file = file
        self._mark = mark

    async def report(self, outcome: Outcome) -> bool:
        """See `Ledger.report`."""

        after = self._mark.reached.outcome

        def change(db: sqlite3.Connection) -> Outcome | Reached:
            sql = f"SELECT {_FIELDS} FROM outcome WHERE key = ?"
            known = db.execute(sql, (outcome.key,)).fetchone()
            if known is not None:
                return Outcome(*known)
            last = db.execute("SELECT id, chain FROM outcome ORDER BY id DESC LIMIT 1").fetchone()
            newest, before = last or (0, "")
            number = max(newest, after)
            if number >= OUTCOMES_MAX:
                raise BadInput(
                    f"the ledger has {OUTCOMES_MAX} outcomes, and takes no more",
                    next_step="move ledger.sqlite and ledger.mark away, and keep them",
                )
            chain = _mark(before, outcome)
            row = (number + 1, *astuple(outcome), chain)
            db.execute(f"INSERT INTO outcome (id, {_FIELDS}, chain) VALUES (?,?,?,?,?,?,?,?)", row)
            return Reached(outcome=number + 1, outcome_chain=chain)

        known = await self._file.write(change, synced=True)
        if isinstance(known, Reached):
            await asyncio.to_thread(self._mark.advance, known)
            return True
        if not known.same_as(outcome):
            raise said_otherwise(outcome.key)
        return False

    def newest(self) -> int:
        """The number of the last one, 0 before the first."""
        return int(self._file.read("SELECT ifnull(max(id), 0) FROM outcome")[0][0])

    def latest(self, start: int, stop: int, count_max: int) -> list[Outcome]:
        """See `Ledger.outcomes`."""
        sql = f"SELECT {_FIELDS} FROM outcome WHERE at >= ? AND at < ? ORDER BY id DESC LIMIT ?"
        return [Outcome(*row) for row in self._file.read(sql, (start, stop, count_max))]

    def earned(self, start: int, stop: int) -> list[Earned]:
        """See `Ledger.earned`."""
        sql = (
            "SELECT workflow, currency, count(*), sum(orders), "
            f"sum(revenue_micro / {_PART}), sum(revenue_micro % {_PART}) FROM outcome "
            "WHERE at >= ? AND at < ? GROUP BY workflow, currency ORDER BY workflow, currency"
        )
        rows = self._file.read(sql, (start, stop))
        return [
            Earned(flow, currency, count, orders, parts * _PART + rest)
            for flow, currency, count, orders, parts, rest in rows
        ]

    def proven(self, proof: Proof, reached: Reached) -> Proof:
        """What reading every row again adds to a proof; `reached` was so before it."""
        sql = f"SELECT id, chain, {_FIELDS} FROM outcome WHERE id > ? ORDER BY id LIMIT ?"
        before, count = "", 0
        while rows := self._file.read(sql, (count, PROVEN_AT_ONCE)):
            for number, chain, *fields in rows:
                why = ""
                if number != count + 1:
                    many = f"outcomes {count + 1} to {number - 1} are missing"
                    why = f"outcome {count + 1} is missing" if number == count + 2 else many
                elif number == reached.outcome and chain != reached.outcome_chain:
                    why = "an outcome is not the one that the mark beside the ledger names"
                elif chain != _mark(before, Outcome(*fields)):
                    why = "an outcome is not the one that was reported"
                if why:
                    return replace(proof, broken_at=number, why=why, outcomes=count)
                before, count = chain, number
        _, lost = reached.missing(reached.closing, count)
        return replace(proof, broken_at=count + 1 if lost else 0, why=lost, outcomes=count)


def _mark(before: str, outcome: Outcome) -> str:
    words: Sequence[object] = astuple(outcome)
    return hashlib.sha256("\n".join((before, *map(str, words))).encode()).hexdigest()
