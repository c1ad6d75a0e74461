"""The form of `edge.sqlite`: the index of stored responses, and the book of purges.

Owns its schema (docs/internals/edge.md). Never knows what a response is.
"""

from __future__ import annotations

from pathlib import Path

from skerry.adapters.sqlite_file import Form, SqliteFile
from skerry.cdn.ports import EdgeUnusable

ENTRY_GONE = """
CREATE TRIGGER entry_gone AFTER DELETE ON entry BEGIN
    DELETE FROM name WHERE entry = OLD.id;
    DELETE FROM slice WHERE entry = OLD.id;
    DELETE FROM purged WHERE entry = OLD.id;
END
"""
PURGED = "CREATE TABLE purged (entry INTEGER PRIMARY KEY)"
"""Entries that a purge has taken and whose rows go behind it: see `sqlite_variants`."""
_FROM_1 = f"""
{PURGED};
CREATE INDEX IF NOT EXISTS entry_by_use ON entry (last_used);
DROP TRIGGER entry_gone;
{ENTRY_GONE}
"""
_SCHEMA = f"""
CREATE TABLE entry (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, variant TEXT NOT NULL,
    scheme TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL,
    path TEXT NOT NULL, query TEXT NOT NULL, origin TEXT NOT NULL,
    status INTEGER NOT NULL, headers TEXT NOT NULL, vary TEXT NOT NULL,
    requested_at REAL NOT NULL, received_at REAL NOT NULL, size_bytes INTEGER,
    invalidated INTEGER NOT NULL, digest TEXT, as_of INTEGER NOT NULL, last_used REAL NOT NULL,
    slice_bytes INTEGER NOT NULL, UNIQUE (key, variant)
);
CREATE INDEX entry_by_path ON entry (origin, path);
CREATE INDEX entry_by_host ON entry (host);
CREATE INDEX entry_by_use ON entry (last_used);
CREATE INDEX entry_by_digest ON entry (digest) WHERE digest IS NOT NULL;
CREATE TABLE name (
    kind TEXT NOT NULL, value TEXT NOT NULL, entry INTEGER NOT NULL,
    PRIMARY KEY (kind, value, entry)
) WITHOUT ROWID;
CREATE INDEX name_by_entry ON name (entry);
CREATE TABLE slice (
    entry INTEGER NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, PRIMARY KEY (entry, number)
) WITHOUT ROWID;
CREATE INDEX slice_by_digest ON slice (digest);
{PURGED};
{ENTRY_GONE};
CREATE TABLE book (id INTEGER PRIMARY KEY CHECK (id = 1), node TEXT NOT NULL,
    position INTEGER NOT NULL, vector TEXT NOT NULL);
CREATE TABLE purge (
    position INTEGER PRIMARY KEY AUTOINCREMENT, node TEXT NOT NULL, sequence INTEGER NOT NULL,
    kind TEXT NOT NULL, scope TEXT NOT NULL, value TEXT NOT NULL, mode TEXT NOT NULL,
    at_seconds REAL NOT NULL
);
CREATE TABLE receipt (sequence INTEGER PRIMARY KEY, line BLOB NOT NULL);
INSERT INTO book VALUES (1, 'node-' || lower(hex(randomblob(8))), 0, '{{}}')
"""


class EdgeDamaged(EdgeUnusable):
    """The file is damaged: `sqlite_edge_rescue` saves what can be read."""


EDGE = Form(
    0x534B4544,  # "SKED"
    2,
    _SCHEMA,
    upgrades={1: _FROM_1},
    named="the edge's index",
    unusable=EdgeUnusable,
    without="the cache begins cold",
    damaged=EdgeDamaged,
)


class EdgeFile(SqliteFile):
    """The edge's own file; without a path in memory. Raises EdgeUnusable."""

    def __init__(self, path: Path | None, *, frozen: bool = False) -> None:
        super().__init__(path, EDGE, frozen=frozen)
