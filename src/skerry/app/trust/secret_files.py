"""Files that hold a secret of the node.

Owns how they come to be: whole or not at all, for their owner alone, and never over another's.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def make_once(path: Path, content: bytes) -> None:
    """Makes the file if it is not there yet, with its folder. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    if path.exists():
        return
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another start was faster
            os.link(fresh, path)
    finally:
        os.unlink(fresh)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
