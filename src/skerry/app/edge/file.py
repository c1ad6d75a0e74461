"""The edge's file as the node opens it, and what its operator is told of it.

Owns the events. What is done about a bad file is `sqlite_edge_rescue`'s.
"""

from __future__ import annotations

from pathlib import Path

from skerry.adapters.sqlite_edge_rescue import open_edge_file
from skerry.telemetry.events import Events, Level


class WatchedFile:
    """Opens the file, whatever has happened to it. Raises EdgeUnusable when it is not ours."""

    def __init__(self, path: Path, events: Events) -> None:
        self.file, rescue = open_edge_file(path)
        self._name = path.name
        self._events = events
        self._told = False
        if rescue is not None:
            events.emit(
                "edge.index_rescued" if rescue.kept_as else "edge.index_frozen",
                path.name,
                cause=rescue.cause,
                next_step=rescue.next_step,
                level=Level.ERROR,
            )

    def tell(self) -> None:
        """An event, once, when the file has proved to be damaged."""
        if not self.file.damaged or self._told:
            return
        self._told = True
        self._events.emit(
            "edge.index_damaged",
            self._name,
            cause="it cannot be read or written in places: what is there is fetched again",
            next_step="restart the node: it begins a new index, and keeps the purges",
            level=Level.ERROR,
        )
