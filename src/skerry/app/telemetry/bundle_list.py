"""Bundles, as the API lists them.

Owns the values of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BundleRow:
    """One bundle, as the API lists it; times in seconds since the epoch."""

    sequence: int
    name: str
    began_at: float
    ended_at: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BundleList:
    """The answer of GET /api/v1/bundles: at most 50, oldest first, and what waits to be put."""

    public_key: str
    bundles: tuple[BundleRow, ...]
    waiting: dict[str, int]
    trouble: dict[str, str]
