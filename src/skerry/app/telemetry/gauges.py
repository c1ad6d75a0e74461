"""What a node shows of its rooms' `statistics()`.

Owns the families of what counts in its snapshots alone: the store, its housekeeper, the fills.
"""

from __future__ import annotations

from collections import Counter

from skerry.store.housekeeping import EvictedFor
from skerry.store.ports import KeptStore
from skerry.store.service import Housekeeper
from skerry.telemetry.metrics import Registry
from skerry.upstream.fills import Fills
from skerry.upstream.measures import AUTHORITIES


def show_rooms(metrics: Registry, store: KeptStore, fills: Fills, housekeeper: Housekeeper) -> None:
    """All of them."""
    _show_store(metrics, store)
    _show_fills(metrics, fills)
    _show_housekeeper(metrics, housekeeper)


def _show_store(metrics: Registry, store: KeptStore) -> None:
    """Disk: what is used of what may be."""
    metrics.gauge(
        "skerry_store_bytes",
        "Bytes of blobs on disk, of spools on their way in and in quarantine.",
        lambda: {
            ("blobs",): store.statistics().blob_bytes,
            ("spools",): store.statistics().spool_bytes,
            ("quarantine",): store.statistics().quarantine_bytes,
        },
        {"part": ("blobs", "spools", "quarantine")},
    )
    metrics.gauge(
        "skerry_store_budget_bytes",
        "Bytes the store may use.",
        lambda: {(): store.statistics().budget_bytes},
    )
    metrics.gauge(
        "skerry_store_disk_free_bytes",
        "Bytes the disk under the data directory has left.",
        lambda: {(): store.room().disk_free_bytes},
    )
    metrics.gauge(
        "skerry_store_writable",
        "1 while the disk takes new bytes, 0 while it does not.",
        lambda: {(): float(store.statistics().writable)},
    )


def _show_housekeeper(metrics: Registry, housekeeper: Housekeeper) -> None:
    """What left the store, and what rotted."""
    metrics.tally(
        "skerry_store_evicted",
        "Images and pages that left the store, by cause, and loose blobs.",
        lambda: {(cause,): count for cause, count in housekeeper.statistics().evicted_for.items()},
        {"cause": EvictedFor},
    )
    metrics.tally(
        "skerry_store_evicted_bytes",
        "Bytes that left the store.",
        lambda: {(): housekeeper.statistics().evicted_bytes},
    )
    metrics.tally(
        "skerry_store_quarantined",
        "Blobs whose bytes were found rotten.",
        lambda: {(): housekeeper.statistics().corrupt_count},
    )


def _show_fills(metrics: Registry, fills: Fills) -> None:
    """What is on its way in."""

    def flying() -> dict[tuple[str, ...], float]:
        counts = Counter(each.key.authority for each in fills.statistics().flying)
        return {(authority,): count for authority, count in counts.items()}

    metrics.gauge(
        "skerry_fills_in_flight", "Contents on their way in.", flying, {"authority": AUTHORITIES}
    )
