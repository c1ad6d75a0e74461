"""The folder of root files: what lies there now.

Owns its names and bounds. Judges nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from skerry.base.errors import Party, SkerryError
from skerry.trust.root_ports import RootFiles

ROOT_FILE_BYTES_MAX = 256 << 10
FILES_MAX = 4096
GRACE_FILE = "grace.json"
_ROOT_FILE = re.compile(r"([1-9][0-9]{0,8})\.root\.json\Z")


def read_folder(folder: Path) -> RootFiles:
    """What lies there now. Raises SkerryError."""
    roots: dict[int, bytes] = {}
    grace: bytes | None = None
    try:
        for number, path in enumerate(sorted(folder.iterdir())):
            if number >= FILES_MAX:
                break
            if found := _ROOT_FILE.match(path.name):
                roots[int(found[1])] = _read(path)
            elif path.name == GRACE_FILE:
                grace = _read(path)
    except OSError as error:
        raise SkerryError(
            f"the root's folder {folder} cannot be read: {error.strerror}",
            next_step="let the node's user read it",
            party=Party.OPERATOR,
        ) from error
    return RootFiles(roots, grace)


def _read(path: Path) -> bytes:
    """One byte too many is told by whoever parses it."""
    with path.open("rb") as file:
        return file.read(ROOT_FILE_BYTES_MAX + 1)
