"""The metrics page, from the code: every family that is declared anywhere in src/.

Owns docs/reference/metrics.md. Reads the declarations, and imports a module only to ask what its
names for label values mean. Names and meanings have to be written out where they are declared, so
that this page (and whoever greps) finds them.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry.telemetry.families import unit_of
from skerry.telemetry.labels import Named, Values, vocabulary

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "metrics.md"
KINDS = {"counter": "counter", "tally": "counter", "gauge": "gauge", "histogram": "histogram"}
HEAD = """\
# Metrics

<!-- Written by make docs from the code. Do not edit. -->

The admin door gives them at `/metrics`: as OpenMetrics 1.0 to whoever asks for that, as Prometheus
does, with units, the times at which series began and exemplars; else in the older text format of
Prometheus. A counter's samples end in `_total`, a histogram's in `_bucket`, `_sum` and `_count`.

Their number does not depend on what is asked for. A label says one of the words listed beside it,
anything else is shown as `other`; where it says what the settings name, a family never grows past
512 label sets, the rest is folded into one that reads `other`. What is counted for class
`sensitive` is shown in groups of [`telemetry.sensitive_group_min`](settings.md) requests.

| family | kind | unit | labels | what it says |
| --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True, order=True)
class Family:
    """One declared family. `labels`: each with what it may say, "" when nobody says."""

    name: str
    kind: str
    labels: tuple[tuple[str, str], ...]
    meaning: str

    @property
    def unit(self) -> str:
        """What is counted, "" for things."""
        return unit_of(self.name)


def declared(folder: Path) -> Iterator[Family]:
    """The families of every declaration in a folder, by the names of `Registry`'s methods."""
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text())
        reader = _Reader(path.relative_to(folder), _assigned(tree))
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=kind),
                    args=[ast.Constant(value=str(name)), ast.Constant(value=str(meaning)), *rest],
                ) if kind in KINDS:
                    named = [word.value for word in node.keywords if word.arg == "labels"]
                    labels = reader.labels([*rest, *named])
                    yield Family(name, KINDS[kind], labels, meaning)


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """What is written after `name =` anywhere in a module; the last one counts."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = value
    return found


class _Reader:
    """Reads the labels of one module's declarations."""

    def __init__(self, path: Path, known: Mapping[str, ast.expr]) -> None:
        self._path, self._known = path, known

    def labels(self, arguments: list[ast.expr]) -> tuple[tuple[str, str], ...]:
        for each in arguments:
            if found := self._declared(each):
                return tuple(found)
        return ()

    def _declared(self, expression: ast.expr) -> list[tuple[str, str]]:
        match expression:
            case ast.Name(id=name) if name in self._known:
                return self._declared(self._known[name])
            case ast.Dict(keys=keys, values=values):
                found: list[tuple[str, str]] = []
                for key, value in zip(keys, values, strict=True):
                    if key is None:
                        found += self._declared(value)
                    elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                        found.append((key.value, said(self._values(value))))
                return found
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return [
                    (item.value, "")
                    for item in items
                    if isinstance(item, ast.Constant) and isinstance(item.value, str)
                ]
        return []

    def _values(self, expression: ast.expr) -> Values:
        """What stands there, as the module itself would read it."""
        name = ".".join(self._path.with_suffix("").parts)
        local = {
            key: self._values(value)
            for key, value in self._known.items()
            if isinstance(expression, ast.Name) and key == expression.id
        }
        try:
            space = dict(vars(importlib.import_module(name)))
        except ImportError:
            space = {}
        source = compile(ast.Expression(expression), str(self._path), "eval")
        found: Values = eval(source, {**local, **space})  # noqa: S307  our own code
        return found


def said(values: Values) -> str:
    """What a label may say, for people."""
    if isinstance(values, Named):
        return values.what
    return ", ".join(f"`{word}`" for word in sorted(vocabulary(values) or ()))


def page(families: list[Family]) -> str:
    """The page's text."""
    rows = []
    for family in families:
        labels = "; ".join(f"`{label}`: {values}" for label, values in family.labels)
        rows.append(
            f"| `{family.name}` | {family.kind} | {family.unit} | {labels} | "
            f"{family.meaning.rstrip('.')} |"
        )
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    text = page(sorted(set(declared(ROOT / "src"))))
    if "--write" in sys.argv:
        PAGE.write_text(text)
    else:
        sys.stdout.write(text)
