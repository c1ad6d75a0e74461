"""What is counted and not yet bundled, in a file that survives the death of the process.

Owns two places of fixed size that take turns, each with its checksum: a write that was cut off
leaves the other one whole. Never waits for the disk: a second's worth is lost with the power.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

PLACE_BYTES = 1 << 20
HEAD_BYTES = 24


class CountsFile:
    """One file; made when it is first written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = 0

    def write(self, of: int, counts: Mapping[str, int]) -> None:
        """Keeps what was counted after a bundle. Raises OSError; too much of it is not kept."""
        data = json.dumps([of, counts], separators=(",", ":")).encode()
        if len(data) > PLACE_BYTES - HEAD_BYTES:
            return
        self._turn += 1
        turn = b"%02x" % (self._turn & 0xFF)
        head = b"%08x" % len(data) + _checksum(turn + data)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            place = (self._turn % 2) * PLACE_BYTES
            os.pwrite(fd, head + turn + data, place)
        finally:
            os.close(fd)

    def read(self) -> tuple[int, dict[str, int]]:
        """The bundle after which it was counted, and the counts; (0, {}) where nothing is whole."""
        found: list[tuple[int, int, dict[str, int]]] = []
        for place in range(2):
            if (each := self._read(place)) is not None:
                found.append(each)
        if not found:
            return 0, {}
        turns = {each[0]: each for each in found}
        # Turns are counted up to 255 and begin anew: of two neighbours the later one.
        newest = max(turns, key=lambda turn: ((turn + 1) & 0xFF not in turns, turn))
        self._turn = newest
        return turns[newest][1:]

    def _read(self, place: int) -> tuple[int, int, dict[str, int]] | None:
        try:
            with self._path.open("rb") as file:
                file.seek(place * PLACE_BYTES)
                head = file.read(HEAD_BYTES)
                size = int(head[:8], 16)
                turn, data = file.read(2), file.read(min(size, PLACE_BYTES))
            if len(data) != size or _checksum(turn + data) != head[8:]:
                return None
            of, counts = json.loads(data)
            return int(turn, 16), int(of), {str(name): int(value) for name, value in counts.items()}
        except (OSError, ValueError, TypeError):
            return None


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest()[:16].encode()
