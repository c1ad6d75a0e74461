"""The way out of a node, shared by all that dials.

Owns the value only.
"""

from __future__ import annotations

from dataclasses import dataclass

from skerry.adapters.resolver import NameResolver
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.misses import MissMeters
from skerry.upstream.ports import Transport


@dataclass(frozen=True, slots=True)
class Outside:
    """The way to other machines, and what is counted on it; all rooms of a node share it."""

    transport: Transport
    metrics: UpstreamMetrics
    miss_meters: MissMeters
    names: NameResolver
