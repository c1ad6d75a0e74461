"""What is counted, and for whom.

Owns the meters, the dimensions and their sums, all whole numbers. Knows no price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum


class Meter(StrEnum):
    """What is counted, with its base unit. The order is that of the ledger's columns.

    The second half costs nothing: it says how requests were answered.
    """

    REQUESTS = "requests"
    EGRESS_BYTES = "egress_bytes"
    INGRESS_BYTES = "ingress_bytes"
    STORE_BYTE_SECONDS = "store_byte_seconds"
    CPU_MICROSECONDS = "cpu_microseconds"
    PULLS = "pulls"
    VAULT_CALLS = "vault_calls"
    NODE_SECONDS = "node_seconds"
    HITS = "hits"
    STALE = "stale"
    MISSES = "misses"
    SHARED = "shared"
    PASSES = "passes"
    SAVED_BYTES = "saved_bytes"


METERS = tuple(Meter)
_ANSWERED = (Meter.HITS, Meter.STALE, Meter.MISSES, Meter.SHARED, Meter.PASSES)
_PLACE = {meter: place for place, meter in enumerate(METERS)}


@dataclass(frozen=True, slots=True)
class Amounts:
    """So much of every meter, in the order of `METERS`."""

    values: tuple[int, ...] = (0,) * len(METERS)

    @classmethod
    def of(cls, amounts: Mapping[Meter, int]) -> Amounts:
        """Some of some meters."""
        return cls(tuple(amounts.get(meter, 0) for meter in METERS))

    def __getitem__(self, meter: Meter) -> int:
        return self.values[_PLACE[meter]]

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(tuple(a + b for a, b in zip(self.values, other.values, strict=True)))

    def __bool__(self) -> bool:
        return any(self.values)


NOTHING = Amounts()


@dataclass(frozen=True, slots=True, order=True)
class Dimension:
    """For whom something was used. All of it comes from the settings; "" where it says nothing.

    Attributes:
        route: a site's route, by its prefix.
        data_class: public or sensitive.
    """

    tenant: str
    site: str = ""
    route: str = ""
    upstream: str = ""
    data_class: str = ""
    workflow: str = ""

    @property
    def folded(self) -> Dimension:
        """The place for what is one too many: the tenant is kept, so that its sum stays right."""
        other = {each.name: "other" for each in fields(self) if each.name != "tenant"}
        return replace(self, **other)


NODE = Dimension("node")
"""The node's own: what nobody asked for, or nobody is named for."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What one dimension used in one hour, which began at `start`."""

    start: int
    dimension: Dimension
    amounts: Amounts


def totals(hours: Iterable[Hour]) -> dict[Dimension, Amounts]:
    """The sum for each dimension."""
    found: dict[Dimension, Amounts] = {}
    for hour in hours:
        found[hour.dimension] = found.get(hour.dimension, NOTHING) + hour.amounts
    return found


def answered(used: Amounts) -> int:
    """Requests that were answered, what hits are a share of: refusals and failures are not."""
    return sum(used[meter] for meter in _ANSWERED)


def total(amounts: Iterable[Amounts]) -> Amounts:
    """The sum of all."""
    return sum(amounts, NOTHING)
