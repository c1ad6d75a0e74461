"""The book of tokens in SQLite.

Owns `tokens.sqlite` (docs/internals/tokens.md): revocations, refresh families, robots. What is
asked at every request is answered from memory. Never judges: what is written was decided elsewhere.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from skerry.adapters.sqlite_file import Form, Row, SqliteFile
from skerry.trust.tokens.core.claims import Claims
from skerry.trust.tokens.core.refresh import Family, Outcome
from skerry.trust.tokens.core.rules import Grant
from skerry.trust.tokens.core.scopes import known_actions
from skerry.trust.tokens.ports import ROBOTS_MAX, TOKEN_SECONDS_MAX, Robot, TokensUnusable, Use

FAMILIES_MAX = 100_000
"""The oldest go first: whoever held one logs in anew."""

_SCHEMA = """
CREATE TABLE revoked_token (id TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE revoked_holder (
    kind TEXT NOT NULL, name TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE TABLE family (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, subject TEXT NOT NULL, kind TEXT NOT NULL,
    groups TEXT NOT NULL, service TEXT NOT NULL, generation INTEGER NOT NULL,
    rotates INTEGER NOT NULL, issued_at REAL NOT NULL, expires_at REAL NOT NULL,
    revoked INTEGER NOT NULL
);
CREATE INDEX family_by_subject ON family (subject);
CREATE TABLE robot (
    name TEXT PRIMARY KEY, secret_hash BLOB NOT NULL, grants TEXT NOT NULL, made_at REAL NOT NULL,
    expires_at REAL, made_by TEXT NOT NULL
) WITHOUT ROWID
"""
TOKENS = Form(
    0x534B544B,  # "SKTK"
    1,
    _SCHEMA,
    named="the book of tokens",
    unusable=TokensUnusable,
    without="everybody logs in anew, robots are made anew, and no token from before is believed",
)
_FAMILY = (
    "name, subject, kind, groups, service, generation, rotates, issued_at, expires_at, revoked"
)
_IDENTITY, _GROUP = "identity", "group"
_EVERYBODY = ("everybody", "")
"""A holder that is everybody: revoked when the book itself was lost."""


class SqliteTokens:
    """`trust.tokens.ports.TokenBook` over one SQLite file, or in memory without a path."""

    def __init__(
        self, path: Path | SqliteFile | None, *, closed_until: float | None = None
    ) -> None:
        """`closed_until`: revocations were lost, so nothing made up to then is believed any more.
        Raises TokensUnusable."""
        self._file = path if isinstance(path, SqliteFile) else SqliteFile(path, TOKENS)
        self._tokens: set[str] = {row[0] for row in self._file.read("SELECT id FROM revoked_token")}
        rows = self._file.read("SELECT kind, name, at FROM revoked_holder")
        self._holders: dict[tuple[str, str], float] = {(row[0], row[1]): row[2] for row in rows}
        if closed_until is not None:
            self._holders[_EVERYBODY] = closed_until

    async def keep_closed(self) -> None:
        """Has what the book was closed for outlive this life. Raises TokensUnusable."""
        row = (*_EVERYBODY, self._holders[_EVERYBODY])
        sql = "INSERT OR REPLACE INTO revoked_holder VALUES (?,?,?)"
        await self._file.write(lambda db: db.execute(sql, row), synced=True)

    # revocations

    async def revoke_token(self, token_id: str, *, until: float) -> None:
        self._tokens.add(token_id)  # at once: it is believed no more from here on
        sql = "INSERT OR REPLACE INTO revoked_token VALUES (?,?)"
        await self._file.write(lambda db: db.execute(sql, (token_id, until)), synced=True)

    async def revoke_subject(self, subject: str, *, at: float) -> None:
        families = "UPDATE family SET revoked = 1 WHERE subject = ?"
        await self._revoke(_IDENTITY, subject, at, families)

    async def revoke_group(self, group: str, *, at: float) -> None:
        families = (
            "UPDATE family SET revoked = 1 "
            "WHERE EXISTS (SELECT 1 FROM json_each(family.groups) WHERE value = ?)"
        )
        await self._revoke(_GROUP, group, at, families)

    async def _revoke(self, kind: str, name: str, at: float, families: str) -> None:
        self._holders[kind, name] = max(at, self._holders.get((kind, name), at))
        row = (kind, name, self._holders[kind, name])

        def change(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO revoked_holder VALUES (?,?,?)", row)
            db.execute(families, (name,))

        await self._file.write(change, synced=True)

    def is_revoked(self, claims: Claims) -> bool:
        if claims.token_id in self._tokens:
            return True
        if not self._holders:
            return False
        holders = [
            _EVERYBODY,
            (_IDENTITY, claims.subject),
            *((_GROUP, group) for group in claims.groups),
        ]
        return any(claims.issued_at <= self._holders.get(each, -1.0) for each in holders)

    # refresh families

    async def put_family(self, family: Family) -> None:
        def change(db: sqlite3.Connection) -> None:
            _put_family(db, family)
            newest = "(SELECT max(id) FROM family)"
            db.execute(f"DELETE FROM family WHERE id <= {newest} - ?", (FAMILIES_MAX,))

        await self._file.write(change, synced=True)

    async def use_family(self, name: str, use: Use) -> tuple[Outcome, Family | None]:
        def change(db: sqlite3.Connection) -> tuple[Outcome, Family | None]:
            sql = f"SELECT {_FAMILY} FROM family WHERE name = ?"
            row = db.execute(sql, (name,)).fetchone()
            found = None if row is None else _family(row)
            outcome, kept = use(found)
            if kept is not None:
                _put_family(db, kept)
            return outcome, kept or found

        return await self._file.write(change, synced=True)

    # robots

    async def put_robot(self, robot: Robot) -> bool:
        grants = [[list(grant.repositories), sorted(grant.actions)] for grant in robot.grants]
        row = (
            robot.name,
            robot.secret_hash,
            json.dumps(grants),
            robot.made_at,
            robot.expires_at,
            robot.made_by,
        )

        def change(db: sqlite3.Connection) -> bool:
            count: int = db.execute("SELECT count(*) FROM robot").fetchone()[0]
            if count >= ROBOTS_MAX:
                return False
            sql = "INSERT OR IGNORE INTO robot VALUES (?,?,?,?,?,?)"
            return bool(db.execute(sql, row).rowcount)

        return await self._file.write(change, synced=True)

    def robot(self, name: str) -> Robot | None:
        rows = self._file.read("SELECT * FROM robot WHERE name = ?", (name,))
        return _robot(rows[0]) if rows else None

    def robots(self) -> list[Robot]:
        return [_robot(row) for row in self._file.read("SELECT * FROM robot ORDER BY name")]

    async def delete_robot(self, name: str) -> bool:
        sql = "DELETE FROM robot WHERE name = ?"
        gone = await self._file.write(lambda db: db.execute(sql, (name,)).rowcount, synced=True)
        return bool(gone)

    async def sweep(self, now: float) -> None:
        rows = self._file.read("SELECT id FROM revoked_token WHERE until < ?", (now,))
        oldest = now - TOKEN_SECONDS_MAX
        holders = [key for key, at in self._holders.items() if at < oldest]
        ended = "SELECT 1 FROM family WHERE expires_at < ? LIMIT 1"
        if not rows and not holders and not self._file.read(ended, (now,)):
            return

        def change(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM revoked_token WHERE until < ?", (now,))
            db.execute("DELETE FROM revoked_holder WHERE at < ?", (oldest,))
            db.execute("DELETE FROM family WHERE expires_at < ?", (now,))

        await self._file.write(change)
        self._tokens -= {row[0] for row in rows}
        for key in holders:
            self._holders.pop(key, None)

    async def close(self) -> None:
        """Writes what is queued."""
        await self._file.close()


def _put_family(db: sqlite3.Connection, family: Family) -> None:
    row = (
        family.name,
        family.subject,
        family.kind,
        json.dumps(family.groups),
        family.service,
        family.generation,
        family.rotates,
        family.issued_at,
        family.expires_at,
        family.revoked,
    )
    marks = ",".join("?" * len(row))
    db.execute(
        f"INSERT INTO family ({_FAMILY}) VALUES ({marks}) ON CONFLICT (name) DO UPDATE "
        "SET generation = excluded.generation, revoked = excluded.revoked",
        row,
    )


def _family(row: Row) -> Family:
    name, subject, kind, groups, service, generation, rotates, issued, expires, revoked = row
    return Family(
        name,
        subject,
        kind,
        tuple(json.loads(groups)),
        service,
        generation,
        bool(rotates),
        issued,
        expires,
        bool(revoked),
    )


def _robot(row: Row) -> Robot:
    name, secret_hash, grants, made_at, expires_at, made_by = row
    given = tuple(
        Grant(tuple(repositories), known_actions(actions))
        for repositories, actions in json.loads(grants)
    )
    return Robot(name, bytes(secret_hash), given, made_at, expires_at, made_by)
