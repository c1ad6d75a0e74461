"""The record of what is in the vault, and the outbox, in SQLite.

Owns `vault.sqlite` (docs/internals/vault.md). What a copy is of is an index like the edge's own, so
that a purge finds the same by the same rules; a copy whose entry goes is withdrawn in the same
transaction. Never talks to a vault.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from skerry.adapters.sqlite_edge_file import EDGE
from skerry.adapters.sqlite_file import Form, Row, SqliteFile
from skerry.adapters.sqlite_variants import SqliteVariants, place_of
from skerry.base.digest import Digest
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.outbox import Standing, State
from skerry.cdn.core.purge import Mode, Target
from skerry.cdn.ports import EdgeUnusable, Entry
from skerry.cdn.vault.ports import Content, CopiesStatistics, Due

_SCHEMA = """
CREATE TABLE copy (
    record TEXT PRIMARY KEY, key TEXT NOT NULL, variant TEXT NOT NULL,
    scheme TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL,
    path TEXT NOT NULL, query TEXT NOT NULL,
    state TEXT NOT NULL, revision INTEGER NOT NULL, attempts INTEGER NOT NULL,
    due_at REAL NOT NULL, sent_at REAL NOT NULL, expires_at REAL NOT NULL, UNIQUE (key, variant)
) WITHOUT ROWID;
CREATE INDEX copy_by_due ON copy (due_at) WHERE state != 'there';
CREATE INDEX copy_by_end ON copy (expires_at);
CREATE TABLE content (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    header BLOB NOT NULL, sent_parts INTEGER NOT NULL, there INTEGER NOT NULL,
    checked_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE tally (what TEXT PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL)
WITHOUT ROWID;
INSERT INTO tally VALUES ('wanted', 0, 0), ('there', 0, 0), ('leaving', 0, 0), ('body', 0, 0);
CREATE TRIGGER copy_came AFTER INSERT ON copy BEGIN
    UPDATE tally SET count = count + 1 WHERE what = NEW.state;
END;
CREATE TRIGGER copy_moved AFTER UPDATE OF state ON copy WHEN OLD.state != NEW.state BEGIN
    UPDATE tally SET count = count - 1 WHERE what = OLD.state;
    UPDATE tally SET count = count + 1 WHERE what = NEW.state;
END;
CREATE TRIGGER copy_went AFTER DELETE ON copy BEGIN
    UPDATE tally SET count = count - 1 WHERE what = OLD.state;
END;
CREATE TRIGGER body_came AFTER INSERT ON content WHEN NEW.there BEGIN
    UPDATE tally SET count = count + 1, bytes = bytes + NEW.size_bytes WHERE what = 'body';
END;
CREATE TRIGGER body_moved AFTER UPDATE OF there ON content WHEN OLD.there != NEW.there BEGIN
    UPDATE tally SET count = count + iif(NEW.there, 1, -1),
        bytes = bytes + iif(NEW.there, 1, -1) * NEW.size_bytes WHERE what = 'body';
END;
CREATE TRIGGER body_went AFTER DELETE ON content WHEN OLD.there BEGIN
    UPDATE tally SET count = count - 1, bytes = bytes - OLD.size_bytes WHERE what = 'body';
END;
CREATE INDEX content_by_proof ON content (checked_at) WHERE there;
CREATE TRIGGER copy_leaves AFTER DELETE ON entry BEGIN
    UPDATE copy SET state = 'leaving', revision = revision + 1, attempts = 0, due_at = 0
    WHERE key = OLD.key AND variant = OLD.variant AND state != 'leaving';
END;
CREATE TRIGGER copy_is_marked AFTER UPDATE OF invalidated ON entry
WHEN NEW.invalidated AND NOT OLD.invalidated BEGIN
    UPDATE copy SET state = 'wanted', revision = revision + 1, due_at = 0
    WHERE key = OLD.key AND variant = OLD.variant AND state != 'leaving';
END
"""
VAULT = Form(
    0x534B5654,  # "SKVT"
    1,
    f"{EDGE.schema};{_SCHEMA}",
    named="the record of the vault",
    unusable=EdgeUnusable,
    without="it is rebuilt with `skerry vault restore`",
)

RESEND_SECONDS = 30.0
"""An object that grows while its record is sent is not sent again at once."""

_CONTENT = "digest, name, size_bytes, header, sent_parts, there, checked_at"
_STANDING = "state, revision, attempts, due_at, sent_at"
_MOVED = ", ".join(
    f"{column} = excluded.{column}"
    for column in ["record", "state", "revision", "attempts", "due_at", "sent_at", "expires_at"]
)
_REPLACED = ", ".join(
    f"{column} = excluded.{column}" for column in _CONTENT.split(", ") if column != "digest"
)
_UNHELD = (
    "NOT EXISTS (SELECT 1 FROM entry WHERE entry.digest = content.digest) AND "
    "NOT EXISTS (SELECT 1 FROM slice WHERE slice.digest = content.digest)"
)

_SAFE = (
    "SELECT 1 FROM copy JOIN entry ON entry.key = copy.key AND entry.variant = copy.variant "
    "WHERE copy.key = ? AND copy.variant = ? AND copy.sent_at > 0 AND copy.state != 'leaving' "
    "AND entry.digest IS ? AND (entry.digest IS NULL OR EXISTS "
    "(SELECT 1 FROM content WHERE content.digest = entry.digest AND content.there)) "
    "AND NOT EXISTS (SELECT 1 FROM slice WHERE slice.entry = entry.id AND NOT EXISTS "
    "(SELECT 1 FROM content WHERE content.digest = slice.digest AND content.there))"
)


class SqliteCopies:
    """`cdn.vault.ports.Copies` over one SQLite file, or in memory for tests."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._variants = SqliteVariants(file, purges_behind=False)

    def find(self, key: CacheKey) -> tuple[Entry, ...]:
        return self._variants.find(key)

    def standing_of(self, entry: Entry) -> tuple[Standing, Entry] | None:
        place = place_of(entry)
        rows = self._file.read(f"SELECT {_STANDING} FROM copy WHERE key = ? AND variant = ?", place)
        for known in self._variants.find(entry.key) if rows else ():
            if place_of(known) == place:
                return _standing(rows[0]), known
        return None

    async def put(self, record: str, entry: Entry, standing: Standing, expires_at: float) -> None:
        key = entry.key
        row = (
            record, *place_of(entry), key.scheme, key.host, key.port, key.path, key.query,
            *_row(standing), expires_at,
        )  # fmt: skip
        await self._variants.put(entry)
        sql = f"INSERT INTO copy VALUES ({','.join('?' * 14)}) ON CONFLICT DO UPDATE SET {_MOVED}"
        await self._file.write(lambda db: db.execute(sql, row))

    async def move(self, record: str, standing: Standing) -> None:
        row = (*_row(standing), record, standing.revision)
        sql = (
            "UPDATE copy SET state = ?, revision = ?, attempts = ?, due_at = ?, sent_at = ? "
            "WHERE record = ? AND revision = ?"
        )
        # Of a newer wish this much is true all the same, and it is soon enough in a moment.
        sent = (standing.sent_at, standing.sent_at + RESEND_SECONDS, record, standing.revision)
        newer = (
            "UPDATE copy SET sent_at = ?, attempts = 0, due_at = max(due_at, ?) "
            "WHERE record = ? AND revision > ? AND state = 'wanted'"
        )

        def change(db: sqlite3.Connection) -> None:
            if not db.execute(sql, row).rowcount and standing.state is State.THERE:
                db.execute(newer, sent)

        await self._file.write(change)

    async def forget(self, record: str) -> None:
        sql = "DELETE FROM copy WHERE record = ? AND state = 'leaving'"
        await self._file.write(lambda db: db.execute(sql, (record,)))

    async def purge(self, target: Target, mode: Mode) -> int:
        return await self._variants.purge(target, mode)

    async def clear(self) -> None:
        await self._variants.clear()

    async def withdraw(self, entries: Sequence[Entry]) -> None:
        await self._variants.remove(entries)

    def is_safe(self, entry: Entry) -> bool:
        digest = str(entry.digest) if entry.digest else None
        return bool(self._file.read(_SAFE, (*place_of(entry), digest)))

    def due(self, now: float, *, count_max: int) -> list[Due]:
        found = []
        for row in self._file.read(
            f"SELECT record, variant, scheme, host, port, path, query, {_STANDING} FROM copy "
            "WHERE state != 'there' AND due_at <= ? ORDER BY due_at LIMIT ?",
            (now, count_max),
        ):
            entries = self._variants.find(CacheKey(*row[2:7]))
            entry = next((each for each in entries if place_of(each)[1] == row[1]), None)
            found.append(Due(row[0], _standing(row[7:]), entry))
        return found

    def expired(self, now: float, *, count_max: int) -> list[Entry]:
        found = []
        for row in self._file.read(
            "SELECT variant, scheme, host, port, path, query FROM copy "
            "WHERE expires_at <= ? AND state != 'leaving' LIMIT ?",
            (now, count_max),
        ):
            entries = self._variants.find(CacheKey(*row[1:]))
            found += [each for each in entries if place_of(each)[1] == row[0]]
        return found

    def content(self, digest: Digest) -> Content | None:
        sql = f"SELECT {_CONTENT} FROM content WHERE digest = ?"
        rows = self._file.read(sql, (str(digest),))
        return _content(rows[0]) if rows else None

    async def put_content(self, content: Content) -> None:
        row = (
            str(content.digest), content.name, content.size_bytes, content.header,
            content.sent_parts, content.there, content.checked_at,
        )  # fmt: skip
        sql = f"INSERT INTO content VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET {_REPLACED}"
        # A body believed to be there that is not would be missed; one sent twice costs a request.
        await self._file.write(lambda db: db.execute(sql, row), synced=not content.there)

    async def forget_content(self, digest: Digest) -> None:
        sql = "DELETE FROM content WHERE digest = ?"
        await self._file.write(lambda db: db.execute(sql, (str(digest),)))

    async def send_again(self, digest: Digest, at: float) -> None:
        sql = (
            "UPDATE copy SET state = 'wanted', revision = revision + 1, attempts = 0, due_at = ? "
            "WHERE state != 'leaving' AND EXISTS (SELECT 1 FROM entry WHERE entry.key = copy.key "
            "AND entry.variant = copy.variant AND (entry.digest = ? OR EXISTS (SELECT 1 FROM "
            "slice WHERE slice.entry = entry.id AND slice.digest = ?)))"
        )
        row = (at, str(digest), str(digest))
        await self._file.write(lambda db: db.execute(sql, row), synced=True)

    async def send_record_again(self, entry: Entry, at: float) -> None:
        sql = (
            "UPDATE copy SET state = 'wanted', revision = revision + 1, attempts = 0, due_at = ? "
            "WHERE state != 'leaving' AND key = ? AND variant = ?"
        )
        row = (at, *place_of(entry))
        await self._file.write(lambda db: db.execute(sql, row), synced=True)

    def contents(self, after: str = "", *, count_max: int = 256) -> list[Content]:
        sql = f"SELECT {_CONTENT} FROM content WHERE there AND digest > ? ORDER BY digest LIMIT ?"
        return [_content(row) for row in self._file.read(sql, (after, count_max))]

    def unproven(self, before: float, *, count_max: int) -> list[Content]:
        sql = (
            f"SELECT {_CONTENT} FROM content WHERE there AND checked_at < ? "
            "ORDER BY checked_at LIMIT ?"
        )
        return [_content(row) for row in self._file.read(sql, (before, count_max))]

    def entries(self, after: str = "", *, count_max: int = 256) -> list[Entry]:
        found: list[Entry] = []
        for row in self._file.read(
            "SELECT DISTINCT key, scheme, host, port, path, query FROM copy WHERE key > ? "
            "AND state != 'leaving' ORDER BY key LIMIT ?",
            (after, count_max),
        ):
            found += self._variants.find(CacheKey(*row[1:]))
        return found

    def orphans(self, *, count_max: int) -> list[Content]:
        sql = f"SELECT {_CONTENT} FROM content WHERE {_UNHELD} LIMIT ?"
        return [_content(row) for row in self._file.read(sql, (count_max,))]

    def holds(self, digest: Digest) -> bool:
        return self._variants.holds(digest)

    def slices(self, entry: Entry) -> dict[int, tuple[Digest, int]]:
        return self._variants.slices(entry)

    async def put_slice(self, entry: Entry, number: int, digest: Digest, size_bytes: int) -> None:
        await self._variants.put_slice(entry, number, digest, size_bytes)

    def statistics(self) -> CopiesStatistics:
        tally = {row[0]: row[1:] for row in self._file.read("SELECT what, count, bytes FROM tally")}
        oldest = self._file.read(
            "SELECT due_at FROM copy WHERE state != 'there' ORDER BY due_at LIMIT 1"
        )
        return CopiesStatistics(
            there_count=tally["there"][0],
            waiting_count=tally["wanted"][0],
            leaving_count=tally["leaving"][0],
            content_count=tally["body"][0],
            plain_bytes=tally["body"][1],
            oldest_waiting_at=oldest[0][0] if oldest else 0.0,
        )


def _row(standing: Standing) -> Row:
    return (
        standing.state.value, standing.revision, standing.attempts, standing.due_at,
        standing.sent_at,
    )  # fmt: skip


def _standing(row: Row) -> Standing:
    return Standing(State(row[0]), *row[1:])


def _content(row: Row) -> Content:
    return Content(Digest.parse(row[0]), row[1], row[2], row[3], row[4], bool(row[5]), row[6])
