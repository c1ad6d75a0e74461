"""The file behind the catalog: opening it, its schema, its writer thread.

Owns `catalog.sqlite` (docs/internals/catalog.md). Never knows what a tag is. Reads happen on the
calling thread, writes on one thread that commits all that has queued up at once; a write returns
when it is on the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from skerry.adapters.sqlite_catalog_copy import COPY, beside, is_marked, mark, take
from skerry.adapters.sqlite_catalog_rescue import CatalogRescue, rescue
from skerry.adapters.sqlite_salvage import is_blank
from skerry.registry.ports import CatalogReadOnly, CatalogUnusable

VERSION = 1
APPLICATION_ID = 0x534B4341  # "SKCA"
BUSY_SECONDS = 5.0
BATCH_MAX = 256
PAGE_CACHE_KIB = 4096
"""Per connection: a node with 100,000 manifests stays small."""

_SCHEMA = """
CREATE TABLE tag (
    upstream TEXT NOT NULL, repository TEXT NOT NULL, name TEXT NOT NULL,
    digest TEXT NOT NULL, checked_at REAL NOT NULL, confirmed_at REAL NOT NULL,
    pending TEXT, gone_at REAL,
    PRIMARY KEY (upstream, repository, name)
) WITHOUT ROWID;
CREATE TABLE manifest (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, links TEXT NOT NULL, subject TEXT,
    artifact_type TEXT NOT NULL, annotations TEXT NOT NULL
);
CREATE INDEX manifest_by_subject ON manifest (subject) WHERE subject IS NOT NULL;
CREATE TABLE link (
    child TEXT NOT NULL, parent INTEGER NOT NULL, PRIMARY KEY (child, parent)
) WITHOUT ROWID;
CREATE INDEX link_by_parent ON link (parent);
CREATE TABLE member (
    upstream TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL,
    kind TEXT NOT NULL, last_used REAL NOT NULL, proven INTEGER NOT NULL,
    PRIMARY KEY (upstream, repository, digest)
) WITHOUT ROWID;
CREATE INDEX member_by_digest ON member (digest);
CREATE TABLE listing (
    upstream TEXT NOT NULL, repository TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    body TEXT NOT NULL, checked_at REAL NOT NULL, confirmed_at REAL NOT NULL,
    PRIMARY KEY (upstream, repository, kind, subject)
) WITHOUT ROWID;
CREATE TABLE pin (
    upstream TEXT NOT NULL, repository TEXT NOT NULL, reference TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (upstream, repository, reference)
) WITHOUT ROWID;
"""

LINKED_SIZE = (
    "SELECT (SELECT json_extract(each.value, '$[3]') FROM json_each(manifest.links) AS each "
    "WHERE json_extract(each.value, '$[0]') = link.child) FROM link "
    "JOIN manifest ON manifest.id = link.parent WHERE link.child = ? AND EXISTS (SELECT 1 FROM "
    "member WHERE upstream = ? AND repository = ? AND member.digest = manifest.digest) LIMIT 1"
)
"""By the key of `link` to one manifest, whose own links alone are looked at: a base layer is the
child of thousands."""

MIGRATIONS: dict[int, str] = {}
"""Version -> the SQL that makes the next one of it. Each runs in one transaction at open."""

T = TypeVar("T")
Row = tuple[Any, ...]
"""What SQLite gives and takes: the types are the schema's."""

Change = Callable[[sqlite3.Connection], T]


@dataclass(frozen=True, slots=True)
class CatalogStatistics:
    """A snapshot. `commit_count` under `write_count` shows how well writes are grouped."""

    write_count: int
    commit_count: int
    queued_count: int
    failed_count: int
    file_bytes: int
    writable: bool


class CatalogFile:
    """One SQLite database: many readers' calls, one writer.

    Without a path it lives in memory, and writes happen on the calling thread. A file that cannot
    be written to is opened for reading; each write tries again, so recovery needs no help. For a
    damaged one a new one takes over, of its last copy and what can be read, see `rescue`. Raises
    CatalogUnusable when the file is not ours, damaged on a disk that takes no writes, or of a newer
    Skerry.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._pending: deque[tuple[Change[Any], Future[Any]]] = deque()
        self._executor = (
            None if path is None else ThreadPoolExecutor(1, thread_name_prefix="catalog")
        )
        self._writes = self._commits = self._failures = 0
        self._writer: sqlite3.Connection | None = None
        self._changing = threading.Lock()
        self.damaged = False
        self.rescue: CatalogRescue | None = None
        if path is not None and _proved_damaged(path):
            self.rescue = rescue(path, _begin)
        self._reader = self._open()

    def read(self, sql: str, parameters: Row = ()) -> list[Row]:
        """All rows of a query; no statement stays open, so no read holds the log back."""
        try:
            with self._changing:
                return self._reader.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            step = "check the disk of the data directory"
            if _is_damage(error):
                step = "restart the node: it saves what can be read; then check the disk"
                if self._path is not None and not self.damaged:
                    mark(self._path)
                self.damaged = True
            raise CatalogUnusable(
                f"the catalog {self._path} cannot be read ({error})", next_step=step
            ) from error

    async def copy(self) -> bool:
        """Takes a second copy; False when the file is damaged. Raises CatalogReadOnly."""
        path = self._path
        if path is None:
            return True
        try:
            sound = await asyncio.to_thread(take, path)
        except (sqlite3.Error, OSError) as error:
            raise CatalogReadOnly(
                f"the catalog {path} cannot be copied ({error})",
                next_step="free space on the data directory's disk or make it writable",
            ) from error
        if not sound and not self.damaged:
            mark(path)
            self.damaged = True
        return sound

    async def write(self, change: Change[T]) -> T:
        """Runs a change in a transaction; durable on return. Raises CatalogReadOnly.

        A change runs once or twice (again, alone, when another one of its batch failed) and must
        not depend on anything but the database.
        """
        self._writes += 1
        done: Future[T] = Future()
        self._pending.append((change, done))
        if self._executor is None:
            self._drain()
            return done.result()
        self._executor.submit(self._drain)
        return await asyncio.wrap_future(done)

    def statistics(self) -> CatalogStatistics:
        rows = self.read("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return CatalogStatistics(
            write_count=self._writes,
            commit_count=self._commits,
            queued_count=len(self._pending),
            failed_count=self._failures,
            file_bytes=rows[0][0],
            writable=self._writer is not None,
        )

    async def close(self) -> None:
        """Ends the writer after what is queued, and folds the log into the file."""
        if self._executor is not None:
            await asyncio.to_thread(self._executor.shutdown)
        self._reader.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> sqlite3.Connection:
        try:
            self._writer = _writable(self._path)
        except sqlite3.OperationalError as error:
            return _readable(self._path, error)
        except sqlite3.DatabaseError as error:
            if self._path is None or self.rescue is not None:
                raise _damaged(self._path, error) from error
            self.rescue = rescue(self._path, _begin)
            if self.rescue is None:
                raise _damaged(self._path, error) from error
            return self._open()
        return self._writer if self._path is None else _beside_writer(self._path)

    def _drain(self) -> None:
        """Commits everything that is queued; on the writer's thread."""
        batch: list[tuple[Change[Any], Future[Any]]] = []
        while self._pending and len(batch) < BATCH_MAX:
            change, done = self._pending.popleft()
            if done.set_running_or_notify_cancel():
                batch.append((change, done))
        if batch and not self._commit(batch):
            for one in batch:
                if not one[1].done():
                    self._commit([one], last=True)

    def _commit(self, batch: list[tuple[Change[Any], Future[Any]]], *, last: bool = False) -> bool:
        alone = last or len(batch) == 1
        try:
            writer = self._writer or self._reopened()
            writer.execute("BEGIN IMMEDIATE")
            results = [change(writer) for change, _ in batch]
            writer.execute("COMMIT")
        except Exception as error:
            if self._writer is not None:
                with suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
            if alone:
                self._failures += 1
                batch[0][1].set_exception(_refused(error))
            return alone
        self._commits += 1
        for (_, done), result in zip(batch, results, strict=True):
            done.set_result(result)
        return True

    def _reopened(self) -> sqlite3.Connection:
        """The writer, if the disk takes writes again.

        The reader makes way first: SQLite shares what it knows of a file within a process, so a
        reader from read-only days would keep the writer from writing.
        """
        with self._changing:
            self._reader.close()
            self._reader = self._open()
        if self._writer is None:
            raise CatalogReadOnly(
                f"the catalog {self._path} is on a disk that takes no writes",
                next_step="make the data directory writable; the next write tries again",
            )
        return self._writer


def _beside_writer(path: Path) -> sqlite3.Connection:
    reader = _connect(f"{path.absolute().as_uri()}?mode=rw")
    reader.execute("PRAGMA query_only = 1")
    return reader


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
    return connection


def _writable(path: Path | None) -> sqlite3.Connection:
    connection = _connect(":memory:" if path is None else f"{path.absolute().as_uri()}?mode=rwc")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # it holds pins and pushes: truth
        connection.execute("BEGIN IMMEDIATE")
        _migrate(connection, path)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _readable(path: Path | None, cause: sqlite3.OperationalError) -> sqlite3.Connection:
    """The file as it is, on a disk that takes no writes."""
    if path is None or not path.exists():
        raise CatalogReadOnly(
            f"the catalog {path} cannot be created ({cause})",
            next_step="make the data directory writable",
        ) from cause
    # Reading a log needs its index file; without a log the file alone is the whole truth.
    for how in ("mode=ro", "mode=ro&immutable=1"):
        try:
            connection = _connect(f"{path.absolute().as_uri()}?{how}")
            _check_version(connection, path)
        except sqlite3.OperationalError:
            continue
        except sqlite3.DatabaseError as error:
            raise _damaged(path, error) from error
        return connection
    raise CatalogUnusable(
        f"the catalog {path} can neither be written nor read ({cause})",
        next_step="check the disk and the file's owner",
    ) from cause


def _check_version(connection: sqlite3.Connection, path: Path | None) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if tables and owner != APPLICATION_ID:
        raise CatalogUnusable(
            f"{path} is a database of another program",
            next_step="give Skerry a data directory of its own",
        )
    if version > VERSION:
        raise CatalogUnusable(
            f"the catalog {path} has format {version}, this Skerry knows up to {VERSION}",
            next_step="start the Skerry that wrote it, or a newer one",
        )
    return version


def _migrate(connection: sqlite3.Connection, path: Path | None) -> None:
    version = _check_version(connection, path)
    for step in range(version, VERSION):
        script = _SCHEMA if version == 0 else MIGRATIONS[step]
        for statement in script.split(";"):
            connection.execute(statement)
        if version == 0:
            break
    # Written at every open: SQLite lets a transaction begin on a disk that takes no writes.
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _begin(path: Path) -> None:
    _writable(path).close()


def _proved_damaged(path: Path) -> bool:
    """Before it is opened: SQLite would call an empty file new, and a folder no file."""
    lost = (is_blank(path) or not path.exists()) and beside(path, COPY).exists()
    return is_marked(path) or path.is_dir() or lost


def _is_damage(error: sqlite3.Error) -> bool:
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.OperationalError | sqlite3.ProgrammingError | sqlite3.IntegrityError
    )


def _damaged(path: Path | None, error: sqlite3.DatabaseError) -> CatalogUnusable:
    return CatalogUnusable(
        f"the catalog {path} is damaged ({error})",
        next_step="make the data directory writable and start again: what can be read is saved",
    )


def _refused(error: Exception) -> Exception:
    if isinstance(error, sqlite3.OperationalError):
        return CatalogReadOnly(
            f"the catalog takes no writes now ({error})",
            next_step="free space on the data directory's disk or make it writable",
        )
    if isinstance(error, sqlite3.Error):
        return CatalogUnusable(f"the catalog refused a change ({error})")
    return error
