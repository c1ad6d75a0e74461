"""The book of verdicts as a node opens it, whatever has happened to its file.

Owns what a loss means: the versions of a root only rise, so where some of them are lost no root is
believed until an operator has looked (docs/internals/damage.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skerry.adapters.sqlite_salvage import settle
from skerry.adapters.sqlite_verdicts import TRUST, SqliteVerdicts
from skerry.app.damage import opened
from skerry.telemetry.events import Level

if TYPE_CHECKING:
    from skerry.app.site import Site

TRUST_FILE = "trust.sqlite"
ROOTS_LOST = "trust.roots-lost"
"""An empty file: an operator removes it when the folder of trust.root has been looked at."""


def open_verdicts(node: Site) -> SqliteVerdicts:
    """Kept in a file where there is a policy to be kept for; closed by `node.ends`."""
    book = _kept(node) if node.settings.trust.policies else SqliteVerdicts(None)
    node.ends.push_async_callback(book.close)
    return book


def _kept(node: Site) -> SqliteVerdicts:
    path = node.settings.node.data_path / TRUST_FILE
    note = path.with_name(ROOTS_LOST)
    file, salvage = opened(path, TRUST, node.events, whole_only=("roots",), settled=False)
    book = SqliteVerdicts(file)
    lost = salvage is not None and (salvage.in_memory or "roots" in salvage.holes)
    if salvage is not None and not salvage.in_memory:
        if lost:
            note.touch()
        settle(path)
    book.roots_lost = bool(node.settings.trust.root) and (lost or note.exists())
    if book.roots_lost:
        _tell(node, note)
    return book


def _tell(node: Site, note: Path) -> None:
    node.events.emit(
        "trust.roots_lost",
        TRUST_FILE,
        cause="which root was trusted last cannot be read: an old one could be put in its place,"
        " so no root is believed and nothing new is admitted",
        next_step="see that the newest root is in the folder of trust.root (`skerry root status`),"
        f" remove {note} and restart the node",
        level=Level.ERROR,
    )
