"""Where the store's files are, and what the operating system's errors mean.

Owns the on-disk layout (docs/internals/store.md) and the translation of `OSError`. Never counts,
never hashes, decides nothing.

    blobs/<algorithm>/<first 2 hex digits>/<hex>   proven, durable, immutable
    ingest/                                        on the way in or out; swept at start
    quarantine/                                    failed its digest, kept for a look; bounded
    index.sqlite                                   derived
    store.lock                                     held by the one process that may write here
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skerry.base.digest import ALGORITHMS, Digest, Hasher, InvalidDigest
from skerry.store.ports import StoreError, StoreFull

FREE_SECONDS = 0.25
PLENTY_BYTES = 256 << 20
"""More than comes in within that time."""
_LIBC = ctypes.CDLL(None, use_errno=True)
_NO_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_NO_WRITING = {
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "the folder may not be written",
    errno.EPERM: "the folder may not be written",
    errno.ENOENT: "the folder is gone",
    errno.ENOTDIR: "the folder is gone",
}


def translated(error: OSError, doing: str) -> StoreError:
    """The store's error for what the operating system said."""
    number = error.errno or 0
    if number in _NO_ROOM:
        return StoreFull(
            f"{doing}: {_NO_ROOM[number]}",
            next_step="free space on the disk or lower store.budget; the node recovers by itself",
        )
    if number in _NO_WRITING:
        return StoreFull(
            f"{doing}: {_NO_WRITING[number]} ({error.filename or 'data_dir'})",
            next_step="make the data directory writable for this user, or mount it again;"
            " a running node goes on by itself",
        )
    return StoreError(
        f"{doing}: {error.strerror or error}", next_step="look at the kernel log for disk errors"
    )


@dataclass(frozen=True, slots=True, order=True)
class Folder:
    """One of the folders that blobs are spread over."""

    algorithm: str
    prefix: str

    @classmethod
    def of(cls, digest: Digest) -> Folder:
        return cls(digest.algorithm, digest.hex[:2])

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.prefix}"


@dataclass(frozen=True, slots=True)
class Found:
    """One file in `blobs/` whose name is a digest. `modified_at` is seconds since the epoch."""

    digest: Digest
    size_bytes: int
    modified_at: float


class Layout:
    """The paths below one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.blobs = str(data_dir / "blobs")
        self.ingest = str(data_dir / "ingest")
        self.quarantine = str(data_dir / "quarantine")
        self.index = data_dir / "index.sqlite"
        self._free = 0
        self._free_until = 0.0

    def blob(self, digest: Digest) -> str:
        return f"{self.blobs}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"

    def folder(self, folder: Folder) -> str:
        return f"{self.blobs}/{folder.algorithm}/{folder.prefix}"

    def free_bytes(self, wanted_bytes: int = 0) -> int:
        """What the file system has left, for somebody who wants so much of it. It is asked often:
        an answer of this quarter of a second does while it says that there is plenty."""
        now = time.monotonic()
        if now >= self._free_until or self._free < wanted_bytes + PLENTY_BYTES:
            self._free_until = now + FREE_SECONDS
            try:
                disk = os.statvfs(self.data_dir)
                self._free = disk.f_bavail * disk.f_frsize
            except OSError:
                self._free = 1 << 62  # writing will tell
        return self._free

    def prepare(self) -> None:
        """Makes the folders and sweeps ingest. On a read-only disk what exists will do.

        Raises StoreError when the data directory cannot even be read.
        """
        try:
            for path in (self.blobs, self.ingest, self.quarantine):
                os.makedirs(path, exist_ok=True)
            for name in os.listdir(self.ingest):
                os.unlink(f"{self.ingest}/{name}")
        except OSError as error:
            found = translated(error, f"preparing {self.data_dir}")
            if not isinstance(found, StoreFull) or not os.path.isdir(self.blobs):
                raise found from error

    def lock(self) -> int | None:
        """Takes the data directory for this process; the kernel lets go when it dies.

        Returns a descriptor to close, or None where no lock file can be made. Raises StoreError
        when another process has it: two sweepers of one ingest would lose acknowledged writes.
        """
        try:
            fd = os.open(
                str(self.data_dir / "store.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise StoreError(
                f"{self.data_dir} is in use by another process",
                next_step="stop the other node or give this one its own node.data_dir",
            ) from error
        return fd

    def folders(self) -> list[Folder]:
        """Every folder that exists, in order. Raises StoreError."""
        return sorted(
            Folder(algorithm, prefix)
            for algorithm in ALGORITHMS
            for prefix in _names(f"{self.blobs}/{algorithm}")
            if len(prefix) == 2
        )

    def scan(self, folder: Folder) -> Iterator[Found]:
        """Every blob of one folder; foreign names are passed over. Raises StoreError."""
        path = self.folder(folder)
        for name in _names(path):
            try:
                digest = Digest(folder.algorithm, name)
                found = os.stat(f"{path}/{name}")
            except InvalidDigest:
                continue
            except FileNotFoundError:  # evicted meanwhile
                continue
            except OSError as error:
                raise translated(error, f"reading {path}") from error
            yield Found(digest, found.st_size, found.st_mtime)

    def quarantined(self) -> list[tuple[str, int]]:
        """(path, length in bytes) of each, oldest first (names begin with the time)."""
        found = []
        for name in sorted(_names(self.quarantine)):
            path = f"{self.quarantine}/{name}"
            try:
                found.append((path, os.stat(path).st_size))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise translated(error, f"reading {path}") from error
        return found


def sync_folder(path: str) -> None:
    """Makes the names in a folder durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_all(path: str) -> None:
    """Makes everything on the file system of a path durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _LIBC.syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(fd)


def read_and_close(fd: int, size_bytes: int) -> bytes:
    """The first bytes of an open file. Raises OSError."""
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        return file.read(size_bytes)


HASH_STEP_BYTES = 8 * 1024 * 1024
"""Hashed in a thread at once, so that others get theirs."""


def hash_and_close(fd: int, hasher: Hasher, offset_bytes: int, size_bytes: int) -> int:
    """Hashes so much of an open file from an offset; how much there was. Raises OSError."""
    try:
        buffer = memoryview(bytearray(1024 * 1024))
        done = 0
        while done < size_bytes and (count := os.preadv(fd, [buffer], offset_bytes + done)):
            hasher.update(buffer[:count])
            done += count
        return done
    finally:
        os.close(fd)


def unlink_quietly(path: str) -> None:
    """Removes a file that may be gone, or cannot be removed."""
    with suppress(OSError):
        os.unlink(path)


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise translated(error, f"reading {path}") from error
