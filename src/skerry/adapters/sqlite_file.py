"""One SQLite file of the node: opening it, its schema, its writer thread.

Owns the connection and the order of writes. Never knows what a row means. Reads happen on the
calling thread; writes on one thread, in the order in which they were called: what was called while
one transaction ran shares the next one. A write survives the death of the process; one that asks
for it, the loss of power too.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from skerry.base.errors import SkerryError

BUSY_SECONDS = 5.0
WRITER_CACHE_KIB = 32 * 1024
"""A purge of a thousand entries among a million touches some thousand pages."""
GATHER_SECONDS = 0.02
BATCH_MAX = 200
"""Changes in one transaction: nobody waits longer than for so many."""

T = TypeVar("T")
Row = tuple[Any, ...]
"""What SQLite gives and takes: the types are the schema's."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a file is.

    Attributes:
        schema: the statements that make a new one.
        named: what messages call it.
        unusable: the error that its users know.
        without: how the node goes on without it, for the next step.
        damaged: the error where the file itself is to blame; None for no difference.
        upgrades: the statements that bring a file from a version to the next.
    """

    application_id: int
    version: int
    schema: str
    named: str
    unusable: type[SkerryError]
    without: str
    damaged: type[SkerryError] | None = None
    upgrades: Mapping[int, str] = field(default_factory=dict)


class SqliteFile:
    """One SQLite database. Without a path it lives in memory, and writes happen at once.

    Raises what its form says when the file is not ours, damaged, or of a newer Skerry. With
    `frozen` it takes no writes, and none are tried: for a disk that takes none.

    Attributes:
        damaged: the file has proved to be damaged since it was opened.
    """

    def __init__(self, path: Path | None, form: Form, *, frozen: bool = False) -> None:
        self._frozen = frozen
        self.damaged = False
        self._path = path
        self._form = form
        self._changing = threading.Lock()
        self._queueing = threading.Lock()
        self._queue: deque[_Write] = deque()
        self._draining = self._closing = False
        self._gathering: asyncio.TimerHandle | None = None
        own_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._executor = None if path is None else own_thread
        try:
            self._writer = _connect_frozen(path) if frozen and path else _connect(path)
            _prepare(self._writer, form)
            alone = frozen or path is None
            self._reader = self._writer if alone else _connect(path)
            self._writer.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
            if path is not None:
                self._reader.execute("PRAGMA query_only = 1")
        except sqlite3.Error as error:
            kind = form.damaged if form.damaged and is_damage(error) else form.unusable
            raise kind(
                f"{form.named} {path} cannot be opened ({error})",
                next_step=f"move it away and start again: {form.without}",
            ) from error

    def read(self, sql: str, parameters: Row = ()) -> list[Row]:
        """All rows of a query; no statement stays open. Raises as its form says."""
        try:
            return self._reader.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    async def write(
        self,
        change: Callable[[sqlite3.Connection], T],
        *,
        synced: bool = False,
        at_leisure: bool = False,
    ) -> T:
        """Runs a change in a transaction; `synced` waits for the disk. Raises as its form
        says.

        One that nobody waits for (`at_leisure`) waits a moment for others to share with. It is
        carried out whether its asker waits for it or not. A change that fails undoes itself alone,
        but it must bear being begun a second time after what it did was undone.
        """
        if self._frozen:
            raise self._form.unusable(
                f"the disk of {self._form.named} takes no writes",
                next_step="free space or make the data directory writable, and restart the node",
            )
        if self._executor is None:
            return self._alone(change, synced)
        done = self._queued(change, synced)
        if not at_leisure or len(self._queue) >= BATCH_MAX:
            self._begin()
        elif self._gathering is None:
            loop = asyncio.get_running_loop()
            self._gathering = loop.call_later(GATHER_SECONDS, self._begin)
        return await done

    def later(self, change: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Runs a change behind what is queued now. Nobody has to wait for it. Raises as its form
        says, also once the file is being closed."""
        if self._closing or self._frozen:
            raise self._form.unusable(f"{self._form.named} takes no writes any more")
        if self._executor is not None:
            done = self._queued(change, synced=False)
            self._begin()
            return done
        done = asyncio.get_running_loop().create_future()
        done.set_result(self._alone(change, synced=False))
        return done

    def _queued(self, change: Callable[[sqlite3.Connection], T], synced: bool) -> asyncio.Future[T]:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._queueing:
            self._queue.append(_Write(change, synced, done))
        return done

    async def close(self) -> None:
        """Ends the writer after what is queued, and folds the log into the file."""
        self._closing = True
        if self._executor is not None:
            self._begin()
            await asyncio.to_thread(self._executor.shutdown)
            self._reader.close()
        self._writer.close()

    def close_now(self) -> None:
        """Closes a file that nothing was written to yet, without a loop."""
        if self._executor is not None:
            self._executor.shutdown()
            self._reader.close()
        self._writer.close()

    def _begin(self) -> None:
        """Lets the writer's thread begin, unless it is at it."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        with self._queueing:
            begin = bool(self._queue) and not self._draining
            self._draining = self._draining or begin
        if begin and self._executor is not None:
            self._executor.submit(self._drain, asyncio.get_running_loop())

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the writer's thread: everything that is queued, batch by batch."""
        while True:
            with self._queueing:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_MAX))]
                if not batch:
                    self._draining = False
                    return
            outcomes = self._carried_out(batch)
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(_tell, batch, outcomes)

    def _carried_out(self, batch: list[_Write]) -> list[object]:
        """What each change gave, or the error it raised."""
        if len(batch) > 1:
            try:
                synced = any(write.synced for write in batch)
                return self._run([write.change for write in batch], synced)
            except Exception:
                pass
        outcomes: list[object] = []
        for write in batch:
            try:
                outcomes.append(self._alone(write.change, write.synced))
            except Exception as error:
                outcomes.append(error)
        return outcomes

    def _alone(self, change: Callable[[sqlite3.Connection], T], synced: bool) -> T:
        return self._run([change], synced)[0]

    def _run(self, changes: list[Callable[[sqlite3.Connection], T]], synced: bool) -> list[T]:
        with self._changing:
            try:
                self._writer.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
                self._writer.execute("BEGIN IMMEDIATE")
                results = [change(self._writer) for change in changes]
                self._writer.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise self._unusable(error) from error
                raise
            return results

    def _unusable(self, error: sqlite3.Error) -> SkerryError:
        if self._form.damaged is not None and is_damage(error):
            return self._proved_damaged(self._form.damaged, error)
        full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
        step = "free space on it" if full else "see what the system's log says of it"
        return self._form.unusable(
            f"{self._form.named} failed ({error})",
            next_step=f"check the disk of the data directory: {step}",
        )

    def _proved_damaged(self, kind: type[SkerryError], error: sqlite3.Error) -> SkerryError:
        if not self.damaged and self._path is not None:
            self.damaged = True
            with suppress(OSError):  # the next start does not find it out again by chance
                damage_note(self._path).touch()
        return kind(
            f"{self._form.named} is damaged ({error})",
            next_step="restart the node: it saves what can be read and begins a new file",
        )


@dataclass(frozen=True, slots=True)
class _Write:
    """One change that waits for its transaction."""

    change: Callable[[sqlite3.Connection], Any]
    synced: bool
    done: asyncio.Future[Any]


def _tell(batch: list[_Write], outcomes: list[object]) -> None:
    for write, outcome in zip(batch, outcomes, strict=True):
        if write.done.done():
            continue  # its asker has left
        if isinstance(outcome, Exception):
            write.done.set_exception(outcome)
        else:
            write.done.set_result(outcome)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is to blame, not the disk's room or rights."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damage_note(path: Path) -> Path:
    """The empty file that says: this one is damaged."""
    return path.with_name(f"{path.name}.is-damaged")


def _connect_frozen(path: Path) -> sqlite3.Connection:
    """A file on a disk that takes no writes. What is in its log belongs to it: without that one
    purged things would come back, so the log is ignored only when there is none."""
    log = path.with_name(f"{path.name}-wal")
    how = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection


def _connect(path: Path | None) -> sqlite3.Connection:
    uri = ":memory:" if path is None else f"{path.absolute().as_uri()}?mode=rwc"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


def _prepare(connection: sqlite3.Connection, form: Form) -> None:
    """Makes the schema in a new file. Raises as its form says for a file that is not ours."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and (owner != form.application_id or version > form.version):
        raise form.unusable(
            f"{form.named} is another program's, or a newer Skerry's",
            next_step=f"move it away and start again: {form.without}",
        )
    if not tables:
        connection.executescript(f"BEGIN;{form.schema};COMMIT")
        connection.execute(f"PRAGMA application_id = {form.application_id}")
    for old in range(version, form.version) if tables else ():
        connection.executescript(f"BEGIN;{form.upgrades[old]};COMMIT")
    if version != form.version:
        connection.execute(f"PRAGMA user_version = {form.version}")
