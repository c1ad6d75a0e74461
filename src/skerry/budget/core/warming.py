"""Whether anything is fetched ahead, by how fast the money goes (requirements C1).

Owns the judgement: warming pauses while more of the budget is spent than of the period has passed,
and goes on once that is well over. Never reads a clock or a ledger.
"""

from __future__ import annotations

from dataclasses import dataclass

MILLION = 1_000_000
PAUSE_ABOVE, RESUME_BELOW = MILLION, 900_000
"""Burn in millionths. Between the two it stays as it is."""
SHARE_MIN = 10_000
"""Less of a budget than this says nothing yet: in a period's first hours one pull would pause."""


@dataclass(frozen=True, slots=True)
class Warming:
    """`burn` as it was last seen, in millionths."""

    paused: bool = False
    burn: int = 0


def judge(warming: Warming, *, burn: int, share: int) -> Warming:
    """After another look; `share` is what is spent of the budget, in millionths."""
    if share < SHARE_MIN:
        return Warming(False, burn)
    if burn > PAUSE_ABOVE:
        return Warming(True, burn)
    return Warming(warming.paused and burn >= RESUME_BELOW, burn)
