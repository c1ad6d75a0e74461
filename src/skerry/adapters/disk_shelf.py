"""The blobs folder: what goes in by rename, what goes out by rename, and the count of both.

Owns `blobs/` and its accounting: one lock holds a rename and its count together, so that the sum
is right whatever runs at once, and a recount corrects it from the files. Never hashes: whoever
places a file has proven it. Known failures T15-T17, T37, T40.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress

from skerry.adapters.disk_index import DiskIndex
from skerry.adapters.disk_layout import Folder, Layout, sync_folder, translated
from skerry.base.digest import ALGORITHMS, Digest, digest_of
from skerry.store.ports import SMALL_BYTES_MAX, BlobInfo, BlobMissing

_EMPTY = frozenset(digest_of(b"", algorithm) for algorithm in ALGORITHMS)


class Shelf:
    """Every blob of one data directory. Methods may be called from any thread."""

    def __init__(self, layout: Layout, index: DiskIndex) -> None:
        self._layout = layout
        self._index = index
        self._lock = threading.Lock()
        self._totals = index.totals()
        self._changed: dict[Digest, tuple[int, float] | None] = {}
        self._uses: dict[Digest, float] = {}
        self._condemned: set[Digest] = set()
        self._folders: set[str] = set()
        self.blob_count = sum(count for count, _ in self._totals.values())
        self.blob_bytes = sum(size for _, size in self._totals.values())

    # reading

    def size_of(self, digest: Digest) -> int | None:
        """Length in bytes, None when absent. Raises StoreError when the disk does not say."""
        try:
            found = os.stat(self._layout.blob(digest))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise translated(error, f"looking for {digest}") from error
        return found.st_size if self._is_whole(digest, found) else None

    def open(self, digest: Digest) -> tuple[int, int]:
        """(descriptor, length in bytes). Raises BlobMissing, StoreError."""
        try:
            fd = os.open(self._layout.blob(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise BlobMissing(f"{digest} is not in the store") from None
        except OSError as error:
            raise translated(error, f"opening {digest}") from error
        found = os.fstat(fd)
        if not self._is_whole(digest, found):
            os.close(fd)
            raise BlobMissing(f"{digest} is not in the store in one piece")
        return fd, found.st_size

    def mark_used(self, digest: Digest, now: float) -> None:
        self._uses[digest] = now

    def infos(self, folder: Folder) -> list[BlobInfo]:
        """Every blob of one folder, in order of digest. Raises StoreError."""
        rows = self._index.rows(folder)
        infos = []
        for found in self._layout.scan(folder):
            used = self._uses.get(found.digest) or rows.get(found.digest, (0, 0.0))[1]
            infos.append(BlobInfo(found.digest, found.size_bytes, used or found.modified_at))
        return sorted(infos, key=lambda info: info.digest)

    # changing

    def place(self, source: str, digest: Digest, *, now: float) -> None:
        """Moves a proven, synced file in, over a copy that may be there. Raises OSError."""
        target = self._layout.blob(digest)
        folder = os.path.dirname(target)
        if not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)
            sync_folder(os.path.dirname(folder))
            sync_folder(self._layout.blobs)
        size = os.stat(source).st_size
        with self._lock:
            before = _size(target)
            os.rename(source, target)
            self._condemned.discard(digest)
            self._count(digest, size, before)
            self._changed[digest] = (size, now)
        sync_folder(folder)

    def put(self, source: str, digest: Digest, content: bytes, *, now: float) -> None:
        """Writes a small proven content and shows it, not synced. Raises OSError.

        A copy of the same length that is there already is left as it is.
        """
        target = self._layout.blob(digest)
        folder = os.path.dirname(target)
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        if _size(target) == len(content) and digest not in self._condemned:
            return
        try:
            _write_new(source, content)
            with self._lock:
                before = _size(target)
                os.rename(source, target)
                self._condemned.discard(digest)
                self._count(digest, len(content), before)
                self._changed[digest] = (len(content), now)
        except OSError:
            self._folders.discard(folder)  # perhaps it is gone
            with suppress(OSError):
                os.unlink(source)
            raise

    def take(self, digest: Digest, destination: str, *, inode: int | None = None) -> int | None:
        """Moves a blob out. Returns its length, None when it was not there.

        With `inode`, only that very file: a copy that was healed meanwhile stays. Raises OSError.
        """
        target = self._layout.blob(digest)
        with self._lock:
            try:
                found = os.stat(target)
                if inode is not None and found.st_ino != inode:
                    return None
                os.rename(target, destination)
            except FileNotFoundError:
                return None
            self._count(digest, None, found.st_size)
            self._changed[digest] = None
            self._uses.pop(digest, None)
        return found.st_size

    def condemn(self, digest: Digest) -> None:
        """Hides a blob that is wrong but cannot be moved away (a read-only disk)."""
        self._condemned.add(digest)

    def recount(self, folder: Folder, *, unsynced: tuple[float, float] = (0, 0)) -> list[Digest]:
        """Corrects one folder's count from its files. Raises StoreError.

        Returns blobs whose length is not what the index has or cannot be right, and small ones
        with times in `unsynced`, which a loss of power may have torn: suspects.
        """
        rows = self._index.rows(folder)
        suspects = []
        with self._lock:
            count = size = 0
            for found in self._layout.scan(folder):
                count, size = count + 1, size + found.size_bytes
                known = rows.pop(found.digest, None)
                small = found.size_bytes <= SMALL_BYTES_MAX
                torn = small and unsynced[0] < found.modified_at <= unsynced[1]
                if torn or (not found.size_bytes and found.digest not in _EMPTY):
                    suspects.append(found.digest)
                if found.digest in self._changed:
                    continue
                if known is None or known[0] != found.size_bytes:
                    self._changed[found.digest] = (found.size_bytes, found.modified_at)
                    if known is not None:
                        suspects.append(found.digest)
            for digest in rows:  # no file, whatever the index says
                self._changed.setdefault(digest, None)
            self._set_total(folder, count, size)
        return suspects

    def known_folders(self) -> set[Folder]:
        """Folders that the accounting has something for."""
        return set(self._totals)

    @property
    def changed_count(self) -> int:
        """Blobs that the index does not have right yet."""
        return len(self._changed)

    def flush(self) -> bool:
        """Writes what changed to the index; what cannot be written is kept for the next time."""
        with self._lock:
            changed, self._changed = self._changed, {}
            before, self._uses = self._uses, {}
            totals = dict(self._totals)
        uses = dict(before)
        if not (changed or uses) or self._index.write(changed, uses, totals):
            return True
        with self._lock:
            self._changed = changed | self._changed
            self._uses = uses | self._uses
        return False

    # inside

    def _is_whole(self, digest: Digest, found: os.stat_result) -> bool:
        # An empty file behind a name that is not empty's is a blob that power loss or a broken
        # disk took: never a 200 with no bytes (T16).
        regular = stat.S_ISREG(found.st_mode)
        empty = not found.st_size and digest not in _EMPTY
        return regular and not empty and digest not in self._condemned

    def _count(self, digest: Digest, size: int | None, before: int | None) -> None:
        folder = Folder.of(digest)
        count, total = self._totals.get(folder, (0, 0))
        count += (size is not None) - (before is not None)
        # Below zero only until the first recount, where the index knew less than there is.
        self._set_total(folder, max(0, count), max(0, total + (size or 0) - (before or 0)))

    def _set_total(self, folder: Folder, count: int, size: int) -> None:
        before = self._totals.get(folder, (0, 0))
        self.blob_count += count - before[0]
        self.blob_bytes += size - before[1]
        self._totals[folder] = (count, size)


def _write_new(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        written = 0
        while written < len(content):
            written += os.write(fd, content[written:] if written else content)
    finally:
        os.close(fd)


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None
