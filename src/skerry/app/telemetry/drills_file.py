"""What drills found out, beside the node that they were made for.

Owns `drills.jsonl` in the data directory: `skerry drill` adds a line for each thing it took away,
the node reads them. Bounded: the oldest lines go.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from skerry.telemetry.core.incidents import Incident, Origin

NAME = "drills.jsonl"
LINES_MAX = 2000
FILE_BYTES_MAX = 4 << 20


class DrillsFile:
    """The file of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._seen: tuple[int, int] = (0, 0)

    def add(self, incidents: Iterable[Incident]) -> None:
        """Adds lines, durably. Raises OSError."""
        kept = self._path.read_bytes().splitlines()[-LINES_MAX:] if self._path.exists() else []
        lines = [*kept, *map(msgspec.json.encode, incidents)][-LINES_MAX:]
        new = self._path.with_name(f"{NAME}.new")
        with new.open("wb") as file:
            file.write(b"".join(line + b"\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        new.chmod(0o644)  # whoever drills need not be who runs the node
        new.replace(self._path)

    def read_new(self) -> list[Incident]:
        """Every line, if the file is another one than before; what is no incident is left out."""
        try:
            status = self._path.stat()
            now = (status.st_mtime_ns, status.st_size)
            if now == self._seen or status.st_size > FILE_BYTES_MAX:
                return []
            lines = self._path.read_bytes().splitlines()[-LINES_MAX:]
        except OSError:
            return []
        self._seen = now
        found = []
        for line in lines:
            try:
                incident = msgspec.json.decode(line, type=Incident)
            except (msgspec.DecodeError, ValueError):
                continue
            if incident.origin is Origin.DRILL and not incident.open:
                found.append(replace(incident, number=0))
        return found
