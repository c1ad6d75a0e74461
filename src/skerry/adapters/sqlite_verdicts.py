"""The book of verdicts in SQLite.

Owns `trust.sqlite` (docs/internals/trust.md). Never judges: what is written was decided elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path

from skerry.adapters import sqlite_trust_roots
from skerry.adapters.sqlite_file import Form, SqliteFile
from skerry.base.digest import Digest
from skerry.trust.ports import Admitted, VerdictsUnusable

KEPT_MAX = 200_000
"""Admitted digests; the oldest go, and are judged again when they are asked for."""
READY_MAX = 4096

_SCHEMA = """
CREATE TABLE admitted (
    id INTEGER PRIMARY KEY, policy TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL,
    signers TEXT NOT NULL, at REAL NOT NULL, UNIQUE (version, digest)
);
CREATE INDEX admitted_by_digest ON admitted (digest, policy);
CREATE TABLE left_behind (
    repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (repository, tag, digest)
) WITHOUT ROWID
"""
TRUST = Form(
    0x534B5452,  # "SKTR"
    2,
    f"{_SCHEMA};{sqlite_trust_roots.SCHEMA}",
    named="the book of verdicts",
    unusable=VerdictsUnusable,
    without="every image is judged anew, and the root files of the folder are trusted as at first",
    upgrades={1: sqlite_trust_roots.SCHEMA},
)


class SqliteVerdicts:
    """`trust.ports.VerdictBook` over one SQLite file, or in memory without a path.

    Attributes:
        roots_lost: which root was trusted last is not known any more: none may be.
    """

    def __init__(self, path: Path | SqliteFile | None) -> None:
        self._file = path if isinstance(path, SqliteFile) else SqliteFile(path, TRUST)
        self.roots_lost = False
        self.roots = sqlite_trust_roots.SqliteTrustRoots(self._file)
        self._ready: dict[tuple[str, Digest], Admitted] = {}

    def admitted(self, version: str, digest: Digest) -> Admitted | None:
        ready = self._ready.get((version, digest))
        if ready is None:
            ready = self._find("version = ? AND digest = ?", version, str(digest))
            self._remember(ready)
        return ready

    def ever_admitted(self, policy: str, digest: Digest) -> Admitted | None:
        return self._find("digest = ? AND policy = ?", str(digest), policy)

    async def admit(self, verdict: Admitted) -> None:
        row = (
            verdict.policy,
            verdict.version,
            str(verdict.digest),
            json.dumps(verdict.signers),
            verdict.at,
        )
        await self._file.write(
            lambda db: (
                db.execute(
                    "INSERT OR REPLACE INTO admitted (policy, version, digest, signers, at) "
                    "VALUES (?,?,?,?,?)",
                    row,
                ),
                db.execute(
                    "DELETE FROM admitted WHERE id <= (SELECT max(id) FROM admitted) - ?",
                    (KEPT_MAX,),
                ),
            ),
            synced=True,
        )
        self._remember(verdict)

    async def left(self, repository: str, tag: str, digest: Digest, at: float) -> None:
        row = (repository, tag, str(digest), at)
        sql = "INSERT OR REPLACE INTO left_behind VALUES (?,?,?,?)"
        await self._file.write(lambda db: db.execute(sql, row), synced=True)

    def has_left(self, repository: str, tag: str, digest: Digest) -> bool:
        sql = "SELECT 1 FROM left_behind WHERE repository = ? AND tag = ? AND digest = ?"
        return bool(self._file.read(sql, (repository, tag, str(digest))))

    async def close(self) -> None:
        """Writes what is queued."""
        await self._file.close()

    def _find(self, where: str, *values: str) -> Admitted | None:
        sql = f"SELECT policy, version, digest, signers, at FROM admitted WHERE {where}"
        rows = self._file.read(f"{sql} ORDER BY at DESC LIMIT 1", values)
        if not rows:
            return None
        policy, version, digest, signers, at = rows[0]
        return Admitted(policy, version, Digest.parse(digest), tuple(json.loads(signers)), at)

    def _remember(self, verdict: Admitted | None) -> None:
        if verdict is None:
            return
        if len(self._ready) >= READY_MAX:
            self._ready.clear()
        self._ready[verdict.version, verdict.digest] = verdict
