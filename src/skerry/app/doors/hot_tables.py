"""Every table of ready answers of the node, as one.

Owns the telling: what is forgotten is forgotten at each door before the call returns. Never keeps
an answer.
"""

from __future__ import annotations

from typing import Protocol


class Forgetful(Protocol):
    """A table of ready answers, or the way to one."""

    def forget(self, about: str) -> None:
        """No answer that was made of this may be given again."""

    def forget_all(self) -> None:
        """No answer may be given again."""


class HotTables:
    """`Forgetful` for all that were added."""

    def __init__(self) -> None:
        self._tables: list[Forgetful] = []

    def add(self, table: Forgetful) -> None:
        """Includes a table from now on."""
        self._tables.append(table)

    def forget(self, about: str) -> None:
        """See `Forgetful`."""
        for table in self._tables:
            table.forget(about)

    def forget_all(self) -> None:
        """See `Forgetful`."""
        for table in self._tables:
            table.forget_all()
