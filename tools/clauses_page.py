"""The page of clauses: which specification says what, and what proves that the edge keeps to it.

Owns docs/internals/clauses.md. Reads the transcripts and the table beside them; plays nothing.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.cdn.transcripts.clauses import CLAUSES, ELSEWHERE
from tests.cdn.transcripts.script import Transcript, everything

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "internals" / "clauses.md"
HEAD = """\
# Clauses and transcripts

<!-- Written by make docs from the transcripts. Do not edit. -->

Every clause that the edge keeps, and what proves it: transcripts (a file of
`tests/cdn/transcripts`, and how many of its conversations show the clause) and tests elsewhere.
A transcript is played against the whole edge in memory, and those that need no other clock than
the world's also against a running node over sockets.

| clause | about | transcripts | tests elsewhere |
| --- | --- | --- | --- |
"""


def order(clause: str) -> tuple[int, ...]:
    """By number of the specification, then of the section."""
    return tuple(map(int, re.findall(r"\d+", clause)))


def page(transcripts: Iterable[Transcript]) -> str:
    """The page's text."""
    shown: dict[str, Counter[str]] = {clause: Counter() for clause in CLAUSES}
    for transcript in transcripts:
        for clause in transcript.clauses:
            shown[clause][transcript.category] += 1
    lines = []
    for clause in sorted(CLAUSES, key=order):
        played = ", ".join(f"{name} {count}" for name, count in sorted(shown[clause].items()))
        tests = ", ".join(f"`{_short(name)}`" for name in ELSEWHERE.get(clause, ()))
        lines.append(f"| {clause} | {CLAUSES[clause]} | {played} | {tests} |")
    return HEAD + "\n".join(lines) + "\n"


def _short(name: str) -> str:
    return name.removeprefix("tests/").partition("::")[0]


def main() -> int:
    """Writes the page with --write, else to the standard output."""
    text = page(everything())
    if "--write" in sys.argv[1:]:
        PAGE.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
