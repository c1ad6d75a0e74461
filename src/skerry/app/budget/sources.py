"""What each class of sources has caused, read from the counters of misses.

Owns the reading. Counts nothing itself.
"""

from __future__ import annotations

from collections import Counter

from skerry.budget.core.warmth import SourceUse
from skerry.telemetry.metrics import Registry

MISSES, BYTES = "skerry_misses", "skerry_miss_bytes"


def source_uses(metrics: Registry) -> list[SourceUse]:
    """By source class, over all upstreams and sites, since the start."""
    metrics.settle()
    counts: Counter[tuple[str, str]] = Counter()
    for (_, source, outcome), value in metrics.counted(MISSES).items():
        counts[source, outcome] += int(value)
    came: Counter[str] = Counter()
    for (_, source), value in metrics.counted(BYTES).items():
        came[source] += int(value)
    return [
        SourceUse(
            source,
            counts[source, "asked"],
            counts[source, "absent"],
            counts[source, "spent"] + counts[source, "over_share"],
            came[source],
        )
        for source in sorted({source for source, _ in counts} | set(came))
    ]
