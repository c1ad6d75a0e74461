"""What a store's housekeeper is told, and what it tells.

Owns the values. When something is evicted or hashed again is the housekeeper's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from skerry.base.digest import Digest

SCRUB_BYTES_PER_SECOND_MIN = 1 << 20


@dataclass(frozen=True, slots=True)
class ScrubPolicy:
    """Everything is hashed again within the period, unless the rate forbids it."""

    period_seconds: float = 7 * 86400.0
    bytes_per_second_max: int = 32 << 20

    def pace(self, blob_bytes: int) -> int:
        """Bytes per second: twice what the period needs, so that restarts do not matter."""
        needed = int(2 * blob_bytes / self.period_seconds)
        return min(self.bytes_per_second_max, max(needed, SCRUB_BYTES_PER_SECOND_MIN))


@dataclass(frozen=True, slots=True)
class Evicted:
    """What went: ids of groups, number of blobs, bytes."""

    group_ids: tuple[str, ...] = ()
    blob_count: int = 0
    freed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """How far a scrub is. `unreadable` blobs were neither proven nor thrown away (T40)."""

    blob_count: int = 0
    blob_bytes: int = 0
    total_count: int = 0
    total_bytes: int = 0
    corrupt: tuple[Digest, ...] = ()
    unreadable: tuple[Digest, ...] = ()


class EvictedFor(StrEnum):
    """Why something left the store. Bounded: a metric label."""

    ROOM = "room"
    OPERATOR = "operator"
    LOOSE = "loose"


@dataclass(frozen=True, slots=True)
class HousekeeperStatistics:
    """A snapshot, since start. `evicted_for`: groups and loose blobs by the cause they went for."""

    evictions: int
    evicted_groups: int
    evicted_bytes: int
    evictions_failed: int
    scrub_rounds: int
    corrupt_count: int
    asks_remembered: int
    evicted_for: Mapping[str, int]
