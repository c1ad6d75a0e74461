"""The ledger in SQLite.

Owns `ledger.sqlite` (docs/internals/budget.md): rows that are only ever added, each closed bucket
sealed into a chain of hashes, and the one bucket that is open. Never knows a price.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from skerry.adapters.ledger_mark import MARK_FILE, LedgerMark, Reached
from skerry.adapters.sqlite_file import Form, Row, SqliteFile
from skerry.adapters.sqlite_outcomes import OUTCOMES_SCHEMA, OutcomeRows
from skerry.budget.core.outcomes import Earned, Outcome
from skerry.budget.core.periods import HOUR_SECONDS, hour_of
from skerry.budget.core.usage import METERS, Amounts, Dimension, Hour
from skerry.budget.ports import LedgerStatistics, LedgerUnusable, Proof

DIMENSIONS_MAX = 1024
"""Beyond, what is new is counted under its tenant alone."""

PROVEN_AT_ONCE = 500
"""Closings that are read in one go."""

_NAMES = ("tenant", "site", "route", "upstream", "data_class", "workflow")
_COLUMNS = ", ".join(METERS)
_SUMS = ", ".join(f"sum({meter})" for meter in METERS)
_METERS = ", ".join(f"{meter} INTEGER NOT NULL" for meter in METERS)
_MARKS = ", ".join("?" * len(METERS))
_NAMED = ", ".join(f"d.{name}" for name in _NAMES)
_BY_TIME = (("usage", "bucket"), ("folded", "hour"), ("open_usage", "bucket"))

_SCHEMA = f"""
CREATE TABLE dimension (
    id INTEGER PRIMARY KEY, {", ".join(f"{name} TEXT NOT NULL" for name in _NAMES)},
    UNIQUE ({", ".join(_NAMES)})
);
CREATE TABLE closing (
    id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, row_count INTEGER NOT NULL,
    chain TEXT NOT NULL
);
CREATE TABLE usage (
    closing INTEGER NOT NULL, dimension INTEGER NOT NULL, bucket INTEGER NOT NULL, {_METERS},
    PRIMARY KEY (closing, dimension)
) WITHOUT ROWID;
CREATE INDEX usage_by_bucket ON usage (bucket);
CREATE TABLE folded (
    hour INTEGER NOT NULL, dimension INTEGER NOT NULL, {_METERS},
    PRIMARY KEY (hour, dimension)
) WITHOUT ROWID;
CREATE TABLE folding (id INTEGER PRIMARY KEY, before INTEGER NOT NULL);
CREATE TABLE open_usage (
    dimension INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, {_METERS}
);
CREATE TABLE note (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TRIGGER usage_stays BEFORE UPDATE ON usage
    BEGIN SELECT RAISE (ABORT, 'a row of the ledger never changes'); END;
CREATE TRIGGER usage_goes_by_folding BEFORE DELETE ON usage
    WHEN OLD.bucket >= (SELECT ifnull(max(before), 0) FROM folding)
    BEGIN SELECT RAISE (ABORT, 'a row of the ledger stays until it is folded'); END;
CREATE TRIGGER closing_stays BEFORE UPDATE ON closing
    BEGIN SELECT RAISE (ABORT, 'a closing of the ledger never changes'); END;
"""
LEDGER = Form(
    0x534B4C45,  # "SKLE"
    2,
    _SCHEMA + OUTCOMES_SCHEMA,
    named="the ledger",
    unusable=LedgerUnusable,
    without="what is only in that file is missing from the costs",
    upgrades={1: OUTCOMES_SCHEMA},
)


class SqliteLedger:
    """`budget.ports.Ledger` over one SQLite file, or in memory without a path."""

    def __init__(self, path: Path | None, *, file: SqliteFile | None = None) -> None:
        """`file` is the one at `path` where it is open already."""
        self._path = path
        self._file = file or SqliteFile(path, LEDGER)
        self._mark = LedgerMark(path and path.with_name(MARK_FILE))
        self._outcomes = OutcomeRows(self._file, self._mark)
        self._ids = {
            Dimension(*row[1:]): int(row[0])
            for row in self._file.read(f"SELECT id, {', '.join(_NAMES)} FROM dimension")
        }
        open_rows = self._file.read("SELECT bucket FROM open_usage LIMIT 1")
        self._open = int(open_rows[0][0]) if open_rows else 0

    async def note(self, bucket: int, used: Mapping[Dimension, Amounts]) -> None:
        closes = bool(self._open) and bucket != self._open
        after = self._mark.reached.closing

        def change(db: sqlite3.Connection) -> tuple[dict[Dimension, int], Reached]:
            new: dict[Dimension, int] = {}
            closed = Reached()
            # Asked of the file: whoever waited for the last note may have left before it was done.
            noted = db.execute("SELECT bucket FROM open_usage LIMIT 1").fetchone()
            if noted is not None and noted[0] != bucket:
                closed = _close(db, after)
            for dimension, amounts in used.items():
                place = self._place(db, dimension, new)
                _add(db, "open_usage", "dimension", (place, bucket, *amounts.values))
            return new, closed

        new, closed = await self._file.write(change, synced=closes)
        self._ids.update(new)
        self._open = bucket if used else 0 if closes else self._open
        if closes:  # or it is not sure to be on the disk
            await asyncio.to_thread(self._mark.advance, closed)

    def hours(self, start: int, stop: int) -> list[Hour]:
        hour = f"bucket - bucket % {HOUR_SECONDS}"
        sql = (
            f"SELECT at, {_NAMED}, {_SUMS} FROM ("
            f"SELECT {hour} AS at, dimension, {_COLUMNS} FROM usage "
            f"WHERE bucket >= ? AND bucket < ? UNION ALL "
            f"SELECT hour, dimension, {_COLUMNS} FROM folded WHERE hour >= ? AND hour < ? "
            f"UNION ALL SELECT {hour}, dimension, {_COLUMNS} FROM open_usage "
            f"WHERE bucket >= ? AND bucket < ?) JOIN dimension d ON d.id = dimension "
            f"GROUP BY at, d.id ORDER BY at, {_NAMED}"
        )
        return [_hour(row) for row in self._file.read(sql, (start, stop) * 3)]

    def minutes(self, start: int, stop: int) -> list[Hour]:
        sql = (
            f"SELECT bucket, {_NAMED}, {_SUMS} FROM ("
            f"SELECT bucket, dimension, {_COLUMNS} FROM usage WHERE bucket >= ? AND bucket < ? "
            f"UNION ALL SELECT bucket, dimension, {_COLUMNS} FROM open_usage "
            f"WHERE bucket >= ? AND bucket < ?) JOIN dimension d ON d.id = dimension "
            f"GROUP BY bucket, d.id ORDER BY bucket, {_NAMED}"
        )
        return [_hour(row) for row in self._file.read(sql, (start, stop) * 2)]

    def span(self) -> tuple[int, int]:
        # One aggregate each: SQLite then looks at the end of an index instead of at every row.
        first, last = (
            [
                self._file.read(f"SELECT {end}({column}) FROM {table}")[0][0]
                for table, column in _BY_TIME
            ]
            for end in ("min", "max")
        )
        firsts, lasts = ([at for at in each if at is not None] for each in (first, last))
        return (hour_of(min(firsts)), hour_of(max(lasts)) + HOUR_SECONDS) if firsts else (0, 0)

    async def fold(self, before: int) -> int:
        def change(db: sqlite3.Connection) -> int:
            db.execute("INSERT INTO folding (before) VALUES (?)", (before,))
            rows = db.execute(
                f"SELECT bucket - bucket % {HOUR_SECONDS} AS at, dimension, {_SUMS} FROM usage "
                "WHERE bucket < ? GROUP BY at, dimension",
                (before,),
            ).fetchall()
            for row in rows:
                _add(db, "folded", "hour, dimension", row)
            return db.execute("DELETE FROM usage WHERE bucket < ?", (before,)).rowcount

        return await self._file.write(change, synced=True)

    def verify(self) -> Proof:
        reached = self._mark.reached  # first: what is read then is as far or further
        before = self._file.read("SELECT ifnull(max(before), 0) FROM folding")[0][0]
        hours = frozenset(row[0] for row in self._file.read("SELECT DISTINCT hour FROM folded"))
        proof = _proof(_by_closing(self._closed()), _Folded(before, hours), reached)
        return proof if proof.broken_at else self._outcomes.proven(proof, reached)

    def missing(self) -> str:
        """What this file has lost at its end, by the mark beside it; "" for nothing."""
        closing = self._file.read("SELECT ifnull(max(id), 0) FROM closing")[0][0]
        lost = self._mark.reached.missing(closing, self._outcomes.newest())
        return ", and ".join(each for each in lost if each)

    def _closed(self) -> Iterator[Row]:
        """Every closing with its rows, some at a time: a year of them would fill the memory."""
        last = self._file.read("SELECT ifnull(max(id), 0) FROM closing")[0][0]
        sql = (
            f"SELECT c.id, c.bucket, c.row_count, c.chain, {_NAMED}, {_COLUMNS} FROM closing c "
            "LEFT JOIN usage u ON u.closing = c.id LEFT JOIN dimension d ON d.id = u.dimension "
            f"WHERE c.id > ? AND c.id <= ? ORDER BY c.id, {_NAMED}"
        )
        for first in range(0, last, PROVEN_AT_ONCE):
            yield from self._file.read(sql, (first, min(first + PROVEN_AT_ONCE, last)))

    async def report(self, outcome: Outcome) -> bool:
        return await self._outcomes.report(outcome)

    def outcomes(self, start: int, stop: int, count_max: int) -> list[Outcome]:
        return self._outcomes.latest(start, stop, count_max)

    def earned(self, start: int, stop: int) -> list[Earned]:
        return self._outcomes.earned(start, stop)

    def noted(self, name: str) -> str:
        rows = self._file.read("SELECT text FROM note WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else ""

    async def keep(self, name: str, text: str) -> None:
        await self._file.write(
            lambda db: db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, text)),
            synced=True,
        )

    def statistics(self) -> LedgerStatistics:
        """A snapshot."""
        count, chain = self._file.read(
            "SELECT ifnull(max(id), 0), ifnull((SELECT chain FROM closing ORDER BY id DESC "
            "LIMIT 1), '') FROM closing"
        )[0]
        rows = self._file.read("SELECT count(*) FROM usage")[0][0]
        size = self._path.stat().st_size if self._path is not None else 0
        return LedgerStatistics(count, rows, chain, self._open, size)

    async def close(self) -> None:
        """Writes what is queued."""
        await self._file.close()

    def _place(
        self, db: sqlite3.Connection, dimension: Dimension, new: dict[Dimension, int]
    ) -> int:
        known = self._ids.get(dimension) or new.get(dimension)
        if known is not None:
            return known
        if len(self._ids) + len(new) >= DIMENSIONS_MAX and dimension != dimension.folded:
            return self._place(db, dimension.folded, new)
        cursor = db.execute(
            f"INSERT INTO dimension ({', '.join(_NAMES)}) VALUES (?,?,?,?,?,?) "
            "ON CONFLICT DO UPDATE SET tenant = excluded.tenant RETURNING id",
            astuple(dimension),
        )
        new[dimension] = int(cursor.fetchone()[0])
        return new[dimension]


def _add(db: sqlite3.Connection, table: str, keys: str, row: Row) -> None:
    added = ", ".join(f"{meter} = {meter} + excluded.{meter}" for meter in METERS)
    columns = "dimension, bucket" if table == "open_usage" else keys
    db.execute(
        f"INSERT INTO {table} ({columns}, {_COLUMNS}) VALUES (?, ?, {_MARKS}) "
        f"ON CONFLICT ({keys}) DO UPDATE SET {added}",
        row,
    )


def _close(db: sqlite3.Connection, after: int) -> Reached:
    """The open bucket becomes rows that stay, and its mark goes on from the one before.

    Its number is above `after`: what was lost at the end of the file leaves a hole in the numbers.
    """
    rows = db.execute(
        f"SELECT o.bucket, o.dimension, {_NAMED}, {_COLUMNS} FROM open_usage o "
        f"JOIN dimension d ON d.id = o.dimension ORDER BY {_NAMED}"
    ).fetchall()
    if not rows:
        return Reached()
    last = db.execute("SELECT id, chain FROM closing ORDER BY id DESC LIMIT 1").fetchone()
    newest, before = last or (0, "")
    number, bucket = max(newest, after) + 1, rows[0][0]
    chain = _mark(before, bucket, (row[2:] for row in rows))
    db.execute("INSERT INTO closing VALUES (?,?,?,?)", (number, bucket, len(rows), chain))
    db.executemany(
        f"INSERT INTO usage (closing, dimension, bucket, {_COLUMNS}) VALUES (?,?,?,{_MARKS})",
        [(number, row[1], bucket, *row[2 + len(_NAMES) :]) for row in rows],
    )
    db.execute("DELETE FROM open_usage")
    return Reached(number, bucket, chain)


def _mark(before: str, bucket: int, rows: Iterable[Row]) -> str:
    lines = [before, str(bucket), *("\t".join(map(str, row)) for row in rows)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _by_closing(rows: Iterable[Row]) -> Iterator[tuple[int, int, int, str, list[Row]]]:
    """The rows of each closing, which come one behind the other."""
    head: Row = ()
    found: list[Row] = []
    for row in rows:
        if head and row[0] != head[0]:
            yield (*head, found)
            found = []
        head = row[:4]
        if row[4] is not None:
            found.append(row[4:])
    if head:
        yield (*head, found)


@dataclass(frozen=True, slots=True)
class _Folded:
    """What is kept by the hour alone: buckets `before`, in these `hours`."""

    before: int
    hours: frozenset[int]


def _proof(
    closings: Iterable[tuple[int, int, int, str, list[Row]]], folded: _Folded, reached: Reached
) -> Proof:
    before, count, total, expected = "", 0, 0, 1
    for number, bucket, row_count, chain, rows in closings:
        why = ""
        if number != expected:
            many = f"closings {expected} to {number - 1} are missing"
            why = f"closing {expected} is missing" if number == expected + 1 else many
        elif number == reached.closing and chain != reached.chain:
            why = "it is not the one that the mark beside the ledger names"
        elif bucket < folded.before and not rows:
            # Kept by the hour alone; its mark still carries the next one.
            if hour_of(bucket) not in folded.hours:
                why = "its hour is missing from those that are kept by the hour"
        elif len(rows) != row_count:
            why = f"it had {row_count} rows and has {len(rows)}"
        elif _mark(before, bucket, rows) != chain:
            why = "its rows are not those that were closed"
        if why:
            return Proof(count, total, before, number, why)
        before, count, total, expected = chain, count + 1, total + len(rows), number + 1
    lost, _ = reached.missing(expected - 1, reached.outcome)
    return Proof(count, total, before, expected if lost else 0, lost)


def _hour(row: Row) -> Hour:
    return Hour(row[0], Dimension(*row[1 : 1 + len(_NAMES)]), Amounts(tuple(row[7:])))
