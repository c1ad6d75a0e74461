"""Small files that are replaced whole, or not at all.

Owns the order: written beside, synced, renamed, folder synced. For the owner alone.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Durable on return. Blocks; raises OSError, with the old file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class LatestFile:
    """One such file, written by threads whose askers may have left: what was begun last stays,
    whichever ends last, and two never write at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = threading.Lock()
        self._begun = self._written = 0

    def begin(self) -> int:
        """The number of a writing. On one thread."""
        self._begun += 1
        return self._begun

    def replace(self, number: int, content: bytes) -> None:
        """See `replace_file`; does nothing where a later one was written already."""
        with self._writing:
            if number > self._written:
                replace_file(self.path, content)
                self._written = number
