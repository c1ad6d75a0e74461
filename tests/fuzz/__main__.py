"""`python -m tests.fuzz door --seconds 600`: one target under atheris, guided by coverage.

A crash prints the input and leaves it in a file `crash-...`; `--file` runs that one again.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import sys
import tempfile
from pathlib import Path

import atheris

TARGETS = ("core", "origin", "door", "registry")
INSTRUMENTED = [
    "skerry.cdn",
    "skerry.registry.core",
    "skerry.upstream",
    "skerry.adapters",
    "skerry.base",
    "skerry.wire",
    "tests.fuzz",
]


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def main() -> None:
    """Never returns: atheris ends the process, 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60, help="at most")
    parser.add_argument("--runs", type=int, default=-1, help="at most; -1 for no bound")
    parser.add_argument("--seed", type=int, default=0, help="0 for another one each time")
    parser.add_argument("--file", type=Path, help="only this input")
    asked = parser.parse_args()
    logging.disable()
    asyncio.set_event_loop(asyncio.new_event_loop())
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        target = importlib.import_module(f"tests.fuzz.{asked.target}_target")
    if asked.file is not None:
        target.run(asked.file.read_bytes())
        return
    with tempfile.TemporaryDirectory(prefix="skerry-fuzz-") as made:
        bounds = [
            f"-max_total_time={asked.seconds}",
            f"-runs={asked.runs}",
            "-max_len=2048",
            "-len_control=0",
        ]
        more = [f"-seed={asked.seed}", "-timeout=20", "-print_final_stats=1", "-rss_limit_mb=2048"]
        words = Path(made) / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.WORDS))
        corpus = Path(made) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(target.seeds()):
            (corpus / str(number)).write_bytes(seed)
        more.append(f"-dict={words}")
        atheris.Setup([sys.argv[0], *bounds, *more, str(corpus)], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
