"""The index of stored responses in SQLite.

Owns the mapping of entries to rows, and a bounded memory of those read last. Never judges: whether
an entry may be served is the cores' to say.

What a hard purge takes is noted in one table first, which costs a page for hundreds of entries; the
rows themselves go a few at a time behind everything else, since each is in some eight trees.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skerry.adapters.sqlite_edge_file import ENTRY_GONE
from skerry.adapters.sqlite_file import Row, SqliteFile
from skerry.base.digest import Digest
from skerry.cdn.core.key import CacheKey, key_digest
from skerry.cdn.core.purge import Kind, Mode, Names, Target, names_it
from skerry.cdn.core.vary import variant_name
from skerry.cdn.ports import VARIANTS_MAX, EdgeUnusable, Entry, Stored
from skerry.wire.message import Headers

KEYS_IN_MEMORY_MAX = 4096
"""Keys whose entries are kept ready: what is asked for often costs no query."""
SCAN_ROWS = 1000
SWEEP_ROWS = 50
"""Purged entries whose rows go in one transaction."""
_HERE = "NOT EXISTS (SELECT 1 FROM purged WHERE purged.entry = entry.id)"

_COLUMNS = (
    "scheme, host, port, path, query, status, headers, vary, requested_at, received_at, "
    "size_bytes, invalidated, digest, as_of, last_used, slice_bytes, id"
)
_REPLACED = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[:-4].split(", ")[5:])
# Updated in place, so that its slices stay.
_PUT = (
    f"INSERT INTO entry (key, variant, origin, {_COLUMNS[:-4]}) "
    f"VALUES (?,?,?,{','.join('?' * 16)}) ON CONFLICT (key, variant) DO UPDATE SET "
    f"{_REPLACED} RETURNING id"
)


@dataclass(frozen=True, slots=True)
class VariantsStatistics:
    """A snapshot."""

    entry_count: int
    keys_in_memory: int
    query_count: int


class SqliteVariants:
    """`cdn.ports.Variants` over one SQLite file, or in memory for tests and the simulator."""

    def __init__(self, file: SqliteFile, *, purges_behind: bool = True) -> None:
        """Without `purges_behind` rows go with the purge, for whom their going is an order."""
        self._file = file
        self._behind = purges_behind
        self._ready: OrderedDict[str, tuple[Entry, ...]] = OrderedDict()
        self._writing: dict[str, int] = {}
        self._sweeping = False
        self._queries = 0

    def find(self, key: CacheKey) -> tuple[Entry, ...]:
        place = key.digest
        found = self._ready.get(place)
        if found is not None:
            self._ready.move_to_end(place)
            return found
        self._queries += 1
        found = self._read(f"SELECT {_COLUMNS} FROM entry WHERE key = ? AND {_HERE}", (place,))
        if place not in self._writing:  # what is about to change must not be remembered
            self._ready[place] = found
            if len(self._ready) > KEYS_IN_MEMORY_MAX:
                self._ready.popitem(last=False)
        return found

    async def put(self, entry: Entry, *, at_leisure: bool = False) -> None:
        place, variant = place_of(entry)
        row = _row(entry)
        names = [("group", f"{entry.key.origin}\n{group}") for group in entry.stored.groups]
        for surrogate in entry.stored.surrogate_keys:
            names.append(("key", surrogate))

        def change(db: sqlite3.Connection) -> None:
            db.execute(
                "DELETE FROM entry WHERE key = ? AND variant = ? "
                "AND id IN (SELECT entry FROM purged)",
                (place, variant),
            )
            [(ident,)] = db.execute(_PUT, (place, variant, entry.key.origin, *row)).fetchall()
            db.execute("DELETE FROM name WHERE entry = ?", (ident,))
            if names:
                db.executemany(
                    "INSERT OR IGNORE INTO name VALUES (?,?,?)",
                    [(kind, value, ident) for kind, value in names],
                )
            db.execute(
                "DELETE FROM entry WHERE key = ? AND id NOT IN (SELECT id FROM entry "
                f"WHERE key = ? ORDER BY received_at DESC LIMIT {VARIANTS_MAX})",
                (place, place),
            )

        await self._change([place], change, at_leisure=at_leisure)

    async def remove(self, entries: Sequence[Entry]) -> None:
        rows = [place_of(entry) for entry in entries]

        def change(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM entry WHERE key = ? AND variant = ?", rows)

        await self._change([place for place, _ in rows], change)

    async def purge(self, target: Target, mode: Mode) -> int:
        where, parameters = _named(target)
        sql = f"UPDATE entry SET invalidated = 1 WHERE ({where}) AND {_HERE}"
        if mode is Mode.HARD and not self._behind:
            sql = f"DELETE FROM entry WHERE {where}"
        elif mode is Mode.HARD:
            sql = f"INSERT OR IGNORE INTO purged SELECT id FROM entry WHERE {where}"

        def change(db: sqlite3.Connection) -> int:
            return db.execute(sql, parameters).rowcount

        try:
            # The record of the purge is durable before: a crash leaves it to be applied again.
            return await self._file.write(change)
        finally:
            self._forget_ready(target)
            self._sweep()

    async def clear(self) -> None:
        def change(db: sqlite3.Connection) -> None:
            # Without the trigger, and table by table, nothing is read row by row.
            db.execute("DROP TRIGGER entry_gone")
            for table in ("name", "slice", "entry", "purged"):
                db.execute(f"DELETE FROM {table}")
            db.execute(ENTRY_GONE)

        try:
            await self._file.write(change)
        finally:
            self._ready.clear()

    async def touch(self, uses: Sequence[tuple[CacheKey, float]]) -> None:
        rows = [(at, key.digest) for key, at in uses]
        sql = "UPDATE entry SET last_used = max(last_used, ?) WHERE key = ?"
        await self._file.write(lambda db: db.executemany(sql, rows))
        self._sweep()  # what a stop left

    def slices(self, entry: Entry) -> dict[int, tuple[Digest, int]]:
        rows = self._file.read(
            "SELECT number, digest, size_bytes FROM slice WHERE entry = "
            f"(SELECT id FROM entry WHERE key = ? AND variant = ? AND {_HERE})",
            place_of(entry),
        )
        return {row[0]: (Digest.parse(row[1]), row[2]) for row in rows}

    async def put_slice(self, entry: Entry, number: int, digest: Digest, size_bytes: int) -> None:
        row = (number, str(digest), size_bytes, *place_of(entry))
        sql = (
            "INSERT OR REPLACE INTO slice SELECT id, ?, ?, ? FROM entry "
            f"WHERE key = ? AND variant = ? AND {_HERE}"
        )
        await self._file.write(lambda db: db.execute(sql, row))

    def holds(self, digest: Digest) -> bool:
        sql = (
            "SELECT 1 FROM entry WHERE digest = ? UNION ALL "
            "SELECT 1 FROM slice WHERE digest = ? LIMIT 1"
        )
        return bool(self._file.read(sql, (str(digest), str(digest))))

    def all(self) -> Iterator[Entry]:
        after = -1
        while True:
            sql = (
                f"SELECT {_COLUMNS} FROM entry WHERE id > ? AND {_HERE} "
                f"ORDER BY id LIMIT {SCAN_ROWS}"
            )
            rows = self._file.read(sql, (after,))
            for row in rows:
                yield _entry(row, {})
            if not rows:
                return
            after = rows[-1][-1]

    def oldest(self, count_max: int) -> Iterator[Entry]:
        return self._by_use(count_max, ">", float("-inf"), "ASC")

    def newest(self, count_max: int) -> Iterator[Entry]:
        return self._by_use(count_max, "<", float("inf"), "DESC")

    def _by_use(self, left: int, beyond: str, end: float, order: str) -> Iterator[Entry]:
        after = (end, -1)
        while left > 0:
            sql = (
                f"SELECT {_COLUMNS} FROM entry WHERE (last_used, id) {beyond} (?, ?) AND {_HERE} "
                f"ORDER BY last_used {order}, id {order} LIMIT ?"
            )
            rows = self._file.read(sql, (*after, min(left, SCAN_ROWS)))
            for row in rows:
                yield _entry(row, {})
            if not rows:
                return
            after, left = (rows[-1][14], rows[-1][-1]), left - len(rows)

    def statistics(self) -> VariantsStatistics:
        """A snapshot."""
        rows, purged = "SELECT count(*) FROM entry", "SELECT count(*) FROM purged"
        count = self._file.read(rows)[0][0] - self._file.read(purged)[0][0]
        return VariantsStatistics(count, len(self._ready), self._queries)

    def _sweep(self) -> None:
        """Takes purged rows out, a few at a time, until none is left."""
        if self._sweeping:
            return
        self._sweeping = True
        try:
            self._file.later(_sweep_some).add_done_callback(self._swept)
        except EdgeUnusable:
            self._sweeping = False  # the next use tries again

    def _swept(self, done: asyncio.Future[int]) -> None:
        self._sweeping = False
        if not done.cancelled() and done.exception() is None and done.result():
            self._sweep()

    def _forget_ready(self, target: Target) -> None:
        """Of what is kept ready, only what a purge may have changed: others stay quick."""
        if target.kind is Kind.URL:
            self._ready.pop(key_digest(target.scope + target.value), None)
            return
        for place, entries in list(self._ready.items()):
            if not entries or any(names_it(target, _names(entry)) for entry in entries):
                del self._ready[place]

    async def _change(
        self, places: Sequence[str], change: object, *, at_leisure: bool = False
    ) -> None:
        for place in places:
            self._writing[place] = self._writing.get(place, 0) + 1
            self._ready.pop(place, None)
        try:
            await self._file.write(change, at_leisure=at_leisure)  # type: ignore[arg-type]
        finally:
            for place in places:
                self._writing[place] -= 1
                if not self._writing[place]:
                    del self._writing[place]
                self._ready.pop(place, None)

    def _read(self, sql: str, parameters: Row) -> tuple[Entry, ...]:
        rows = self._file.read(sql, parameters)
        if not rows:
            return ()
        names: dict[int, list[tuple[str, str]]] = {}
        marks = ",".join("?" * len(rows))
        for entry, kind, value in self._file.read(
            f"SELECT entry, kind, value FROM name WHERE entry IN ({marks})",
            tuple(row[-1] for row in rows),
        ):
            names.setdefault(entry, []).append((kind, value))
        return tuple(_entry(row, names) for row in rows)


def _sweep_some(db: sqlite3.Connection) -> int:
    """How many went."""
    some = f"SELECT entry FROM purged LIMIT {SWEEP_ROWS}"
    return db.execute(f"DELETE FROM entry WHERE id IN ({some})").rowcount


def _names(entry: Entry) -> Names:
    return Names(entry.key, entry.stored.groups, entry.stored.surrogate_keys)


def place_of(entry: Entry) -> tuple[str, str]:
    """The key's digest, and what makes two responses of it the same variant."""
    stored = entry.stored
    return entry.key.digest, variant_name(stored.headers, stored.vary, bool(entry.slice_bytes))


def _named(target: Target) -> tuple[str, Row]:
    """`core.purge.names_it` as SQL."""
    scope, value = target.scope, target.value
    match target.kind:
        case Kind.URL:
            path, _, query = value.partition("?")
            return "origin = ? AND path = ? AND query = ?", (scope, path, query)
        case Kind.PREFIX:
            below = value.removesuffix("/") + "/"
            # "0" follows "/": everything that begins with `below`, by the index.
            sql, row = "origin = ? AND path >= ? AND path < ?", (scope, below, below[:-1] + "0")
            if value.endswith("/"):
                return sql, row
            return f"({sql}) OR (origin = ? AND path = ?)", (*row, scope, value)
        case Kind.HOST:
            return "host = ?", (value,)
        case Kind.GROUP:
            sql = "id IN (SELECT entry FROM name WHERE kind = 'group' AND value = ?)"
            return sql, (f"{scope}\n{value}",)
        case Kind.KEY:
            sql = "id IN (SELECT entry FROM name WHERE kind = 'key' AND value = ?)"
            return (f"host = ? AND {sql}", (scope, value)) if scope else (sql, (value,))


def _row(entry: Entry) -> Row:
    key, stored = entry.key, entry.stored
    return (
        key.scheme, key.host, key.port, key.path, key.query,
        stored.status, json.dumps(list(stored.headers)), json.dumps(stored.vary),
        stored.requested_at, stored.received_at, stored.size_bytes, stored.invalidated,
        str(entry.digest) if entry.digest else None, entry.as_of, entry.last_used,
        entry.slice_bytes,
    )  # fmt: skip


def _entry(row: Row, names: dict[int, list[tuple[str, str]]]) -> Entry:
    key = CacheKey(*row[:5])
    borne = names.get(row[16], ())
    stored = Stored(
        status=row[5],
        headers=Headers((name, value) for name, value in json.loads(row[6])),
        requested_at=row[8],
        received_at=row[9],
        vary=tuple((name, value) for name, value in json.loads(row[7])),
        size_bytes=row[10],
        invalidated=bool(row[11]),
        groups=frozenset(v.partition("\n")[2] for kind, v in borne if kind == "group"),
        surrogate_keys=frozenset(v for kind, v in borne if kind == "key"),
    )
    digest = Digest.parse(row[12]) if row[12] else None
    return Entry(key, stored, digest, row[13], row[14], row[15])
