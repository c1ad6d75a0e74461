"""What `Fills` tell of themselves.

Owns the snapshots. Never counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skerry.upstream.fills import FillKey


@dataclass(frozen=True, slots=True)
class FillProgress:
    """One fill in flight, for people. `started_at` is in seconds since the epoch."""

    key: FillKey
    started_at: float
    received_bytes: int
    size_bytes: int | None
    kept: bool


@dataclass(frozen=True, slots=True)
class FillsStatistics:
    """A snapshot; the counts are since start. `troubles` is by `Trouble`, largest first."""

    flying: tuple[FillProgress, ...]
    started_count: int
    joined_count: int
    stored_count: int
    failed_count: int
    passed_through_count: int
    resumed_count: int
    marked_count: int
    received_bytes: int
    troubles: tuple[tuple[str, int], ...]
