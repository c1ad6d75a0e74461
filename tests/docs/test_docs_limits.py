"""The page of limits says what the code holds to, and leaves none out."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from skerry.base.units import parse_bytes
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "reference" / "limits.md"
_ROW = re.compile(r"\| [^|]+ \| ([^|]+) \| [^|]+ \| `([\w.]+)\.(\w+)` \|\Z")
COMPLETE = (
    "skerry.registry.core.manifests", "skerry.registry.core.whole", "skerry.wire.strict_json",
    "skerry.upstream.core.redirect", "skerry.upstream.core.challenge",
)  # fmt: skip
"""Modules of which every limit is on the page."""
ELSEWHERE = {"MISSING_MAX"}
"""Limits on what we write ourselves."""


def rows() -> list[tuple[str, str, str]]:
    """What it says, and the module and constant that say it in code."""
    found = (_ROW.match(line) for line in PAGE.read_text().splitlines())
    return [(row[1], row[2], row[3]) for row in found if row]


def value_of(text: str) -> float:
    """`4 MiB`, `5`, `8192 characters` or `86400 s` as a number."""
    number, _, unit = text.partition(" ")
    return parse_bytes(f"{number}{unit}") if unit.endswith("iB") else float(number)


@pytest.mark.parametrize(("said", "module", "name"), rows(), ids=lambda part: str(part))
def test_a_limit_is_what_the_page_says(said: str, module: str, name: str) -> None:
    assert getattr(import_module(module), name) == value_of(said)


@pytest.mark.parametrize("module", COMPLETE)
def test_no_limit_of_what_is_read_is_left_out(module: str) -> None:
    listed = {name for _, owner, name in rows() if owner == module}
    own = {name for name in vars(import_module(module)) if name.endswith("_MAX")}
    foreign = {name for name in own if name in listed or name in ELSEWHERE}
    assert own == foreign, f"{own - foreign} of {module} is not on the page"


def test_the_page_has_limits() -> None:
    assert len(rows()) > 20
