"""How much of what was asked for was answered without the outside.

Owns the value that the pages, the status and the terminal show (requirements S2). Counts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HitRatio:
    """One class of traffic, since start. Stale and collapsed answers are no hits, nor are those
    that the outside had to confirm.

    Attributes:
        what: a data class of the edge, `images` or `private images`.
        requests: answered at all: refusals and failures are other numbers.
        hits: from what was here.
        stale, collapsed: answered stale, and by joining somebody else's fetch.
        body_bytes, hit_bytes: of the bodies of all of them, and of the hits.
    """

    what: str
    requests: int
    hits: int
    stale: int
    collapsed: int
    body_bytes: int | None = None
    hit_bytes: int | None = None
