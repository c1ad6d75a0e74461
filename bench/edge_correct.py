"""`python -m bench.edge_correct`: which clauses of caching five caches keep, counted alike.

Owns the count and the lines in bench/results/edge-clauses.jsonl. Plays the transcripts that say
nothing of this node in particular and need no clock but the world's. A transcript counts when all
of it holds: `must` for what no cache may do otherwise, `may` for what it is allowed to do and
should (store, reuse, validate), `more` for standards that a cache need not know.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.edge_rivals import RIVALS
from bench.figures import RESULTS, machine
from tests.cdn.transcripts.script import Transcript, everything
from tests.peers.edge_stage import ScriptedServer, play_all, site
from tests.rig.processes import Rig

EXTENSIONS = {"targeted", "groups", "immutable"}
PLAYED = [each for each in everything() if not (each.own or each.memory or each.waits)]
BATCH = 60
Results = Mapping[str, list[str]]
Score = tuple[int, int]


def kind_of(transcript: Transcript) -> str:
    """`must`, `may` or `more`."""
    if transcript.category in EXTENSIONS:
        return "more"
    return "may" if transcript.optimal else "must"


def scores(results: Results) -> dict[tuple[str, str], Score]:
    """Kept and played, by category and kind; under the category `all` the sums."""
    kept: Counter[tuple[str, str]] = Counter()
    played: Counter[tuple[str, str]] = Counter()
    for each in PLAYED:
        for place in ((each.category, kind_of(each)), ("all", kind_of(each))):
            played[place] += 1
            kept[place] += not results[str(each)]
    return {place: (kept[place], played[place]) for place in played}


def measured(name: str) -> Results:
    """What each transcript complains of when this cache stands before the origin."""
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as made, Rig(Path(made)) as rig:
        Path(made).chmod(0o755)  # they give their rights away
        origin = ScriptedServer()
        rig.listen(origin)
        if name == "skerry":
            url = f"http://127.0.0.1:{origin.port}"
            sites = [site(number, each, url) for number, each in enumerate(PLAYED)]
            port = int(rig.node({"site": sites}).edge.rpartition(":")[2])
        else:
            port = RIVALS[name](rig, origin.port)
        results: dict[str, list[str]] = {}
        for first in range(0, len(PLAYED), BATCH):
            batch = PLAYED[first : first + BATCH]
            results |= rig.run(play_all(batch, origin, port, ours=False, first=first))
        return results


def table(found: Mapping[str, dict[tuple[str, str], Score]]) -> Table:
    """Rows by category and kind, a column for each cache."""
    made = Table("category", "kind", *found)
    for place in sorted(next(iter(found.values())), key=lambda place: (place[0] == "all", place)):
        cells = ("{}/{}".format(*of_one[place]) for of_one in found.values())
        made.add_row(*place, *cells)
    return made


def main() -> int:
    """Plays, prints, keeps. 1 when another cache keeps more of `must` or `may` than this node."""
    parser = argparse.ArgumentParser(prog="python -m bench.edge_correct", description=__doc__)
    parser.add_argument("--only", action="append", choices=["skerry", *RIVALS], help="just these")
    parser.add_argument("--why", action="store_true", help="print every complaint")
    options = parser.parse_args()
    found = {}
    console = Console(width=120)
    for name in options.only or ["skerry", *RIVALS]:
        results = measured(name)
        found[name] = scores(results)
        for title, complaints in results.items():
            if complaints and options.why:
                console.print(f"{name}: {title}: {complaints[0]}", highlight=False, markup=False)
    console.print(table(found))
    if options.only:
        return 0
    at, where = datetime.now(UTC).isoformat(timespec="seconds"), machine()
    with (RESULTS / "edge-clauses.jsonl").open("a") as out:
        for name, of_one in found.items():
            kept = {f"{category} {kind}": score for (category, kind), score in of_one.items()}
            out.write(json.dumps({"cache": name, "kept": kept, "at": at, "machine": where}) + "\n")
    return int(any(beaten(found, kind) for kind in ("must", "may")))


def beaten(found: Mapping[str, dict[tuple[str, str], Score]], kind: str) -> bool:
    """Whether some other cache keeps more."""
    ours, *others = (of_one["all", kind][0] for of_one in found.values())
    return max(others) > ours


if __name__ == "__main__":
    sys.exit(main())
