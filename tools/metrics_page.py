"""The metrics page, from the code: every family that is declared anywhere in src/.

Owns docs/reference/metrics.md. Reads the declarations, runs nothing. Names and meanings have to
be written out where they are declared, so that this page (and whoever greps) finds them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "metrics.md"
KINDS = ("counter", "gauge", "histogram")
HEAD = """\
# Metrics

<!-- Written by make docs from the code. Do not edit. -->

The admin door gives them as OpenMetrics text at `/metrics`. A family never grows past 512 label
sets: what comes after is folded into one whose labels read `other`, so a stranger's names cannot
fill the node's memory or your Prometheus. A counter's samples end in `_total`, a histogram's in
`_bucket`, `_sum` and `_count`; times are in seconds.

| family | kind | labels | what it says |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True, order=True)
class Family:
    """One declared family; labels in their order."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def declared(folder: Path) -> Iterator[Family]:
    """The families of every `.counter(...)`, `.gauge(...)` and `.histogram(...)` in a folder."""
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text())
        known = _assigned(tree)
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=kind),
                    args=[ast.Constant(value=str(name)), ast.Constant(value=str(meaning)), *rest],
                ) if kind in KINDS:
                    yield Family(name, kind, _labels(node, rest, known), meaning)


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """What is written after `name =` anywhere in a module; the last one counts."""
    return {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _labels(call: ast.Call, rest: list[ast.expr], known: dict[str, ast.expr]) -> tuple[str, ...]:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "labels"]
    for expression in (*rest, *named):
        if found := _words(expression, known):
            return found
    return ()


def _words(expression: ast.expr, known: dict[str, ast.expr]) -> tuple[str, ...]:
    """The strings of a tuple or list, through names and stars; () for anything else."""
    match expression:
        case ast.Constant(value=str(word)):
            return (word,)
        case ast.Name(id=name) if name in known:
            return _words(known[name], {key: known[key] for key in known if key != name})
        case ast.Starred(value=inner):
            return _words(inner, known)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(word for item in items for word in _words(item, known))
    return ()


def page(families: list[Family]) -> str:
    """The page's text."""
    rows = []
    for family in families:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(
            f"| `{family.name}` | {family.kind} | {labels} | {family.meaning.rstrip('.')} |"
        )
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    text = page(sorted(set(declared(ROOT / "src"))))
    if "--write" in sys.argv:
        PAGE.write_text(text)
    else:
        sys.stdout.write(text)
