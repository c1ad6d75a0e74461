"""Files of the node that were damaged: opened all the same, and told of.

Owns which file is opened how, and the event. What is done about a bad file is
`adapters.sqlite_salvage`'s; the rule for each is in docs/internals/damage.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from skerry.adapters.sqlite_file import Form, SqliteFile
from skerry.adapters.sqlite_salvage import Salvage, open_or_salvage, settle
from skerry.telemetry.events import Events, Level


def opened(
    path: Path,
    form: Form,
    events: Events,
    *,
    whole_only: Sequence[str] = (),
    dropped: Sequence[str] = (),
    settled: bool = True,
) -> tuple[SqliteFile, Salvage | None]:
    """The file, usable whatever has happened to it. Raises as its form says when it is another
    program's, a newer Skerry's or in use. Without `settled` the caller draws consequences."""
    file, salvage = open_or_salvage(path, form, whole_only=whole_only, dropped=dropped)
    if salvage is not None:
        events.emit(
            "file.salvaged", path.name, cause=salvage.told,
            next_step=salvage.next_step + (f"; {form.without}" if salvage.holes else ""),
            level=Level.ERROR,
        )  # fmt: skip
        if settled and not salvage.in_memory:
            settle(path)
    return file, salvage
