"""`python -m sim --seeds 2000`: worlds, one per seed, and the first that broke a promise.

With `--edge` they are worlds of the edge's cache, without of the fill engine and the store.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from sim.checkers import complaints
from sim.edge.command import worlds as edge_worlds
from sim.scenario import Mood, draw
from sim.world import run


def main() -> int:
    """0 when every promise was kept in every world, else 1 and the transcript."""
    parser = argparse.ArgumentParser(prog="python -m sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one, with its transcript")
    parser.add_argument("--edge", action="store_true", help="worlds of the edge")
    asked = parser.parse_args()
    logging.disable()  # thousands of nodes have nothing to say to one terminal
    if asked.edge:
        return edge_worlds(asked.first, asked.seeds, asked.seed)
    if asked.seed is not None:
        return _replay(asked.seed)
    began = time.perf_counter()
    moods: dict[Mood, int] = dict.fromkeys(Mood, 0)
    for seed in range(asked.first, asked.first + asked.seeds):
        scenario = draw(seed)
        moods[scenario.mood] += 1
        if complaints(run(scenario)):
            return _replay(seed)
    worlds = ", ".join(f"{count} {mood}" for mood, count in moods.items())
    print(f"{worlds}: every promise kept, in {time.perf_counter() - began:.1f} s")
    return 0


def _replay(seed: int) -> int:
    history = run(draw(seed))
    broken = complaints(history)
    print(history.transcript())
    print("\n".join(f"BROKEN {complaint}" for complaint in broken) or "every promise kept")
    print(f"again: python -m sim --seed {seed}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
