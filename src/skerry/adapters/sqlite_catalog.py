"""The catalog in SQLite.

Owns the mapping of the registry's values to rows (docs/internals/catalog.md). Never judges: what
a time or a missing byte means is decided in the registry's cores.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from skerry.adapters.sqlite_catalog_file import LINKED_SIZE, CatalogFile, CatalogStatistics, Row
from skerry.base.digest import Digest
from skerry.registry.ports import (
    REFERRERS_MAX,
    Link,
    Listing,
    Manifest,
    Member,
    Pin,
    Repository,
    Tag,
)

SCAN_ROWS = 2000
"""A walk over everything holds no more rows than this at a time, and no read transaction."""

_TAG = "upstream, repository, name, digest, checked_at, confirmed_at, pending, gone_at"
_MANIFEST = "digest, media_type, size_bytes, links, subject, artifact_type, annotations"
_REFERRER = "digest, media_type, size_bytes, '[]', subject, artifact_type, annotations"
_HERE = "upstream = ? AND repository = ?"


class SqliteCatalog:
    """`registry.ports.Catalog` over one SQLite file, or in memory for tests and the simulator."""

    def __init__(self, file: CatalogFile) -> None:
        self._file = file
        self.rescue = file.rescue  # of a catalog that was damaged at this start

    @classmethod
    def open(cls, path: Path | None) -> SqliteCatalog:
        """The catalog in the file `path`, made when absent; None for one in memory.

        Raises CatalogUnusable.
        """
        return cls(CatalogFile(path))

    # tags

    def tag(self, repository: Repository, name: str) -> Tag | None:
        rows = self._file.read(
            f"SELECT {_TAG} FROM tag WHERE {_HERE} AND name = ?", (*_key(repository), name)
        )
        return _tag(rows[0]) if rows else None

    def tags(self, repository: Repository) -> list[Tag]:
        rows = self._file.read(
            f"SELECT {_TAG} FROM tag WHERE {_HERE} ORDER BY name", _key(repository)
        )
        return [_tag(row) for row in rows]

    async def put_tag(self, tag: Tag) -> None:
        row = (
            *_key(tag.repository),
            tag.name,
            str(tag.digest),
            tag.checked_at,
            tag.confirmed_at,
            str(tag.pending) if tag.pending else None,
            tag.gone_at,
        )
        await self._run(f"INSERT OR REPLACE INTO tag ({_TAG}) VALUES (?,?,?,?,?,?,?,?)", row)

    async def delete_tag(self, repository: Repository, name: str) -> None:
        await self._run(f"DELETE FROM tag WHERE {_HERE} AND name = ?", (*_key(repository), name))

    def all_tags(self) -> Iterator[Tag]:
        for row in self._scan(_TAG, "tag", "upstream, repository, name"):
            yield _tag(row)

    # manifests and membership

    def manifest(self, digest: Digest) -> Manifest | None:
        rows = self._file.read(f"SELECT {_MANIFEST} FROM manifest WHERE digest = ?", (str(digest),))
        return _manifest(rows[0]) if rows else None

    async def put_manifest(self, repository: Repository, manifest: Manifest, *, now: float) -> None:
        def change(db: sqlite3.Connection) -> None:
            _insert_manifest(db, manifest)
            kinds = {str(link.child): link.kind for link in reversed(manifest.links)}
            kinds[str(manifest.digest)] = "manifest"
            own = str(manifest.digest)
            db.executemany(
                "INSERT INTO member VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE "
                "SET proven = max(proven, excluded.proven)",
                [
                    (*_key(repository), digest, kind, now, digest == own)
                    for digest, kind in kinds.items()
                ],
            )

        await self._file.write(change)

    def is_member(self, repository: Repository, digest: Digest) -> bool:
        sql = f"SELECT 1 FROM member WHERE {_HERE} AND digest = ?"
        return bool(self._file.read(sql, (*_key(repository), str(digest))))

    async def put_member(
        self, repository: Repository, digest: Digest, kind: str, *, now: float
    ) -> None:
        await self._run(
            "INSERT INTO member VALUES (?,?,?,?,?,1) ON CONFLICT DO UPDATE "
            "SET last_used = max(last_used, excluded.last_used), proven = 1",
            (*_key(repository), str(digest), kind, now),
        )

    async def delete_member(self, repository: Repository, digest: Digest) -> None:
        def change(db: sqlite3.Connection) -> None:
            _forget(db, _key(repository), str(digest))
            _sweep(db, [str(digest)])

        await self._file.write(change)

    def members(self, repository: Repository | None = None) -> Iterator[Member]:
        columns = "upstream, repository, digest, kind, last_used"
        for row in self._scan(columns, "member", "upstream, repository, digest", repository):
            yield Member(Repository(row[0], row[1]), Digest.parse(row[2]), row[3], row[4])

    def repositories_of(self, digest: Digest) -> list[Repository]:
        sql = "SELECT upstream, repository FROM member WHERE digest = ? ORDER BY 1, 2"
        return [Repository(*row) for row in self._file.read(sql, (str(digest),))]

    def holders(self, digest: Digest) -> list[Repository]:
        sql = (
            "SELECT upstream, repository FROM member WHERE digest = ? AND proven = 1 ORDER BY 1, 2"
        )
        return [Repository(*row) for row in self._file.read(sql, (str(digest),))]

    def referrers(self, repository: Repository, subject: Digest) -> list[Manifest]:
        rows = self._file.read(
            f"SELECT {_REFERRER} FROM manifest WHERE subject = ? AND EXISTS (SELECT 1 FROM member "
            f"WHERE {_HERE} AND member.digest = manifest.digest) ORDER BY digest LIMIT ?",
            (str(subject), *_key(repository), REFERRERS_MAX),
        )
        return [_manifest(row) for row in rows]

    def parents(self, repository: Repository, digest: Digest) -> list[Digest]:
        rows = self._file.read(
            "SELECT manifest.digest FROM link JOIN manifest ON manifest.id = link.parent "
            "WHERE child = ? AND EXISTS (SELECT 1 FROM member "
            f"WHERE {_HERE} AND member.digest = manifest.digest) ORDER BY manifest.digest",
            (str(digest), *_key(repository)),
        )
        return [Digest.parse(row[0]) for row in rows]

    def linked_size(self, repository: Repository, digest: Digest) -> int | None:
        rows = self._file.read(LINKED_SIZE, (str(digest), *_key(repository)))
        return rows[0][0] if rows else None

    def children(self, digest: Digest) -> tuple[Link, ...]:
        manifest = self.manifest(digest)
        return manifest.links if manifest else ()

    # whole catalog

    def repositories(self) -> list[Repository]:
        found = {Repository(*row) for table in ("member", "tag") for row in self._names(table)}
        return sorted(found)

    async def touch(self, uses: Iterable[tuple[Repository, Digest, float]]) -> None:
        rows = [(at, *_key(repository), str(digest)) for repository, digest, at in uses]

        def change(db: sqlite3.Connection) -> None:
            db.executemany(
                f"UPDATE member SET last_used = max(last_used, ?) WHERE {_HERE} AND digest = ?",
                rows,
            )

        if rows:
            await self._file.write(change)

    # listings

    def listing(self, repository: Repository, kind: str, subject: str) -> Listing | None:
        rows = self._file.read(
            f"SELECT body, checked_at, confirmed_at FROM listing WHERE {_HERE} "
            "AND kind = ? AND subject = ?",
            (*_key(repository), kind, subject),
        )
        return Listing(repository, kind, subject, *rows[0]) if rows else None

    async def put_listing(self, listing: Listing) -> None:
        await self._run(
            "INSERT OR REPLACE INTO listing VALUES (?,?,?,?,?,?,?)",
            (
                *_key(listing.repository),
                listing.kind,
                listing.subject,
                listing.body,
                listing.checked_at,
                listing.confirmed_at,
            ),
        )

    # pins

    def pins(self) -> list[Pin]:
        rows = self._file.read("SELECT * FROM pin ORDER BY upstream, repository, reference")
        return [Pin(Repository(row[0], row[1]), row[2], row[3]) for row in rows]

    async def put_pin(self, pin: Pin) -> None:
        await self._run(
            "INSERT INTO pin VALUES (?,?,?,?) ON CONFLICT DO NOTHING",
            (*_key(pin.repository), pin.reference, pin.created_at),
        )

    async def delete_pin(self, repository: Repository, reference: str) -> bool:
        sql = f"DELETE FROM pin WHERE {_HERE} AND reference = ?"
        return await self._run(sql, (*_key(repository), reference)) > 0

    # removal

    async def drop(self, roots: Iterable[tuple[Repository, Digest]]) -> None:
        gone = [(_key(repository), str(digest)) for repository, digest in roots]
        if gone:
            await self._file.write(lambda db: _drop(db, gone))

    @property
    def damaged(self) -> bool:
        """Whether reading found damage since this start."""
        return self._file.damaged

    async def copy(self) -> bool:
        """Takes a second copy; False when the file is damaged. Raises CatalogReadOnly."""
        return await self._file.copy()

    def statistics(self) -> CatalogStatistics:
        return self._file.statistics()

    async def close(self) -> None:
        await self._file.close()

    async def _run(self, sql: str, parameters: Row) -> int:
        return await self._file.write(lambda db: db.execute(sql, parameters).rowcount)

    def _scan(
        self, columns: str, table: str, key: str, repository: Repository | None = None
    ) -> Iterator[Row]:
        """Every row by primary key (its first three columns), some at a time."""
        where = "" if repository is None else f"{_HERE} AND "
        base: Row = () if repository is None else _key(repository)
        last: Row = ("", "", "")
        while True:
            rows = self._file.read(
                f"SELECT {columns} FROM {table} WHERE {where}({key}) > (?,?,?) "
                f"ORDER BY {key} LIMIT {SCAN_ROWS}",
                (*base, *last),
            )
            yield from rows
            if len(rows) < SCAN_ROWS:
                return
            last = rows[-1][:3]

    def _names(self, table: str) -> Iterator[tuple[str, str]]:
        """Each repository once, by leaps over the key: not one step per row."""
        last: tuple[str, str] = ("", "")
        while rows := self._file.read(
            f"SELECT upstream, repository FROM {table} WHERE (upstream, repository) > (?,?) "
            "ORDER BY upstream, repository LIMIT 1",
            last,
        ):
            last = (rows[0][0], rows[0][1])
            yield last


def _insert_manifest(db: sqlite3.Connection, manifest: Manifest) -> None:
    links = [
        [str(e.child), e.kind, e.media_type, e.size_bytes, e.platform, int(e.foreign)]
        for e in manifest.links
    ]
    # What a digest says never changes: the first reading stays.
    added = db.execute(
        f"INSERT INTO manifest ({_MANIFEST}) VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        (
            str(manifest.digest),
            manifest.media_type,
            manifest.size_bytes,
            json.dumps(links, separators=(",", ":")),
            str(manifest.subject) if manifest.subject else None,
            manifest.artifact_type,
            json.dumps(manifest.annotations, separators=(",", ":")),
        ),
    )
    if added.rowcount:
        db.executemany(
            "INSERT OR IGNORE INTO link VALUES (?,?)",
            [(str(link.child), added.lastrowid) for link in manifest.links],
        )


def _forget(db: sqlite3.Connection, key: tuple[str, str], digest: str) -> None:
    """Takes a content out of a repository, with the tags that mean it."""
    db.execute(f"DELETE FROM member WHERE {_HERE} AND digest = ?", (*key, digest))
    db.execute(f"DELETE FROM tag WHERE {_HERE} AND digest = ?", (*key, digest))
    db.execute(f"UPDATE tag SET pending = NULL WHERE {_HERE} AND pending = ?", (*key, digest))


def _drop(db: sqlite3.Connection, roots: list[tuple[tuple[str, str], str]]) -> None:
    for key, digest in roots:
        _forget(db, key, digest)
    gone = {digest for _, digest in roots}
    todo = list(roots)
    while todo:
        key, parent = todo.pop()
        for (child,) in db.execute(
            "SELECT child FROM link JOIN manifest ON manifest.id = parent WHERE digest = ?",
            (parent,),
        ).fetchall():
            if not _held(db, key, child) and _member(db, key, child):
                _forget(db, key, child)
                gone.add(child)
                todo.append((key, child))
    for key in {key for key, _ in roots}:
        if not db.execute(f"SELECT 1 FROM member WHERE {_HERE} LIMIT 1", key).fetchone():
            db.execute(f"DELETE FROM listing WHERE {_HERE}", key)
    _sweep(db, gone)


def _member(db: sqlite3.Connection, key: tuple[str, str], digest: str) -> bool:
    sql = f"SELECT 1 FROM member WHERE {_HERE} AND digest = ?"
    return db.execute(sql, (*key, digest)).fetchone() is not None


def _held(db: sqlite3.Connection, key: tuple[str, str], digest: str) -> bool:
    """Whether another manifest of the repository, a tag or a pin still means this content."""
    found = db.execute(
        "SELECT 1 FROM link JOIN manifest ON manifest.id = link.parent JOIN member "
        "ON member.digest = manifest.digest AND upstream = ?1 AND repository = ?2 "
        "WHERE child = ?3 UNION ALL "
        "SELECT 1 FROM tag WHERE upstream = ?1 AND repository = ?2 AND ?3 IN (digest, pending) "
        "UNION ALL "
        "SELECT 1 FROM pin WHERE upstream = ?1 AND repository = ?2 AND reference = ?3 LIMIT 1",
        (*key, digest),
    )
    return found.fetchone() is not None


def _sweep(db: sqlite3.Connection, digests: Iterable[str]) -> None:
    """Forgets what manifests say that no repository holds any more."""
    for digest in digests:
        row = db.execute(
            "SELECT id FROM manifest WHERE digest = ? AND NOT EXISTS "
            "(SELECT 1 FROM member WHERE member.digest = manifest.digest)",
            (digest,),
        ).fetchone()
        if row is not None:
            db.execute("DELETE FROM link WHERE parent = ?", row)
            db.execute("DELETE FROM manifest WHERE id = ?", row)


def _key(repository: Repository) -> tuple[str, str]:
    return (repository.upstream, repository.name)


def _digest(text: str | None) -> Digest | None:
    return Digest.parse(text) if text else None


def _tag(row: Row) -> Tag:
    return Tag(
        Repository(row[0], row[1]),
        name=row[2],
        digest=Digest.parse(row[3]),
        checked_at=row[4],
        confirmed_at=row[5],
        pending=_digest(row[6]),
        gone_at=row[7],
    )


def _manifest(row: Row) -> Manifest:
    return Manifest(
        digest=Digest.parse(row[0]),
        media_type=row[1],
        size_bytes=row[2],
        links=tuple(
            Link(Digest.parse(child), kind, media_type, size, platform, bool(foreign))
            for child, kind, media_type, size, platform, foreign in json.loads(row[3])
        ),
        subject=_digest(row[4]),
        artifact_type=row[5],
        annotations=tuple((name, value) for name, value in json.loads(row[6])),
    )
