"""Costs that nobody alone causes, shared out by rule (requirements S3).

Owns the rules: the processor by work done, what comes in by who missed, what is held by who holds
it. Every share is a whole number, and the shares make the total.
"""

from __future__ import annotations

from collections.abc import Mapping

from skerry.budget.core.money import share_out
from skerry.budget.core.usage import NODE, NOTHING, Amounts, Dimension, Meter

REQUEST_WORK, MISS_WORK, BYTES_OF_WORK = 50, 1000, 3000
"""Microseconds of processor time that a request takes, about, and a miss more; and how many bytes
go out for one more (0.33 CPU-seconds a gigabyte)."""


def share(meter: Meter, total: int, weights: Mapping[Dimension, int]) -> dict[Dimension, Amounts]:
    """A total of one meter in parts by weight; the node's own where nobody has any."""
    if not total:
        return {}
    owners = sorted(who for who, weight in weights.items() if weight > 0) or [NODE]
    parts = share_out(total, [weights.get(who, 0) for who in owners])
    return {who: Amounts.of({meter: part}) for who, part in zip(owners, parts, strict=True) if part}


def by_work(used: Mapping[Dimension, Amounts]) -> dict[Dimension, int]:
    """How much work each has made, in microseconds about."""
    return {
        who: REQUEST_WORK * each[Meter.REQUESTS]
        + MISS_WORK * (each[Meter.MISSES] + each[Meter.PASSES])
        + (each[Meter.EGRESS_BYTES] + each[Meter.INGRESS_BYTES]) // BYTES_OF_WORK
        for who, each in used.items()
    }


def by_misses(used: Mapping[Dimension, Amounts], name: str) -> dict[Dimension, int]:
    """How often each has asked beyond the cache, of one upstream or site."""
    return {
        who: each[Meter.MISSES] + each[Meter.PASSES]
        for who, each in used.items()
        if name in (who.upstream, who.site)
    }


def merged(*every: Mapping[Dimension, Amounts]) -> dict[Dimension, Amounts]:
    """The sum of all of them, by dimension."""
    found: dict[Dimension, Amounts] = {}
    for each in every:
        for who, amounts in each.items():
            found[who] = found.get(who, NOTHING) + amounts
    return found
