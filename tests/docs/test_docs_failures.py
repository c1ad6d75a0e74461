"""The page of known failures names tests that are there, for every failure."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "internals" / "known-failures.md"
COUNT = 44
_ROW = re.compile(r"\| T(\d+) \| (.+) \| (.+) \|\Z")
_TEST = re.compile(r"`([\w/]+\.py)::(\*|\w+)`")


def rows(text: str) -> dict[int, list[tuple[str, str]]]:
    """Number -> the tests behind it, as file and name."""
    found = (_ROW.match(line) for line in text.splitlines())
    return {int(row[1]): _TEST.findall(row[3]) for row in found if row}


@cache
def names_of(file: str) -> frozenset[str]:
    """The names of a file's tests; none for a file that is not there."""
    path = ROOT / "tests" / file
    if not path.exists():
        return frozenset()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.walk(ast.parse(path.read_text()))
    return frozenset(n.name for n in nodes if isinstance(n, kinds) and n.name.startswith("test_"))


def missing(text: str) -> list[str]:
    """What the page promises and is not there."""
    found = rows(text)
    absent = [f"T{number} has no test" for number in range(1, COUNT + 1) if not found.get(number)]
    for number, tests in found.items():
        for file, name in tests:
            if name not in names_of(file) and not (name == "*" and names_of(file)):
                absent.append(f"T{number}: {file}::{name} is not there; mend the page")
    return absent


def test_every_known_failure_is_proven_by_tests_that_are_there() -> None:
    assert not missing(PAGE.read_text())


def test_a_test_that_was_renamed_is_missed() -> None:
    text = PAGE.read_text()
    assert missing(text.replace("test_t10_other_bytes", "test_t10_other_bites"))
    assert missing(text.replace("| T20 |", "| T2O |"))
