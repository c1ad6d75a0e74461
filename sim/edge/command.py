"""`python -m sim --edge`: worlds of the edge, one per seed, and the first that broke a promise."""

from __future__ import annotations

import time

from sim.edge.checkers import complaints
from sim.edge.scenario import draw
from sim.edge.world import run


def worlds(first: int, count: int, only: int | None) -> int:
    """0 when every promise was kept in every world, else 1 and the transcript."""
    if only is not None:
        return replay(only)
    began = time.perf_counter()
    for seed in range(first, first + count):
        if complaints(run(draw(seed))):
            return replay(seed)
    print(f"{count} worlds: every promise kept, in {time.perf_counter() - began:.1f} s")
    return 0


def replay(seed: int) -> int:
    """One world, with its transcript."""
    history = run(draw(seed))
    broken = complaints(history)
    print(history.transcript())
    print("\n".join(f"BROKEN {complaint}" for complaint in broken) or "every promise kept")
    print(f"again: python -m sim --edge --seed {seed}")
    return 1 if broken else 0
