"""Every rule of rules.py on every file of the tree."""

from __future__ import annotations

import tomllib

import pytest

from tests.tidy.rules import (
    RULES,
    Rule,
    modules_nobody_imports,
    things_nobody_uses,
    unfinished_or_foreign,
)
from tests.tidy.sources import ROOT, python_files, text_files

SOURCES = python_files()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule: Rule) -> None:
    complaints = [complaint for source in SOURCES for complaint in rule(source)]
    assert not complaints, "\n" + "\n".join(complaints)


def test_every_module_is_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    started = {target.partition(":")[0] for target in project["scripts"].values()}
    complaints = modules_nobody_imports(SOURCES, started)
    assert not complaints, "\n" + "\n".join(complaints)


def test_every_function_class_and_constant_is_used() -> None:
    complaints = things_nobody_uses(SOURCES)
    assert not complaints, "\n" + "\n".join(complaints)


def test_nothing_is_unfinished_or_speaks_of_one_machine() -> None:
    complaints = [
        complaint
        for path, text in text_files().items()
        for complaint in unfinished_or_foreign(path, text)
    ]
    assert not complaints, "\n" + "\n".join(complaints)


def test_the_locks_pin_every_package_by_hash_and_name_no_host() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        entries = text.replace("\\\n", " ").splitlines()
        loose = [line for line in entries if "==" in line and "--hash=sha256:" not in line]
        assert not loose, f"{name}: {loose} without a hash; run make lock"
        assert "://" not in text, f"{name} names a host; run make lock"
        assert "--index" not in text, f"{name} names an index; run make lock"


def test_what_the_package_needs_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements.lock").read_text()
    for wanted in project["dependencies"]:
        name = wanted.partition(">")[0].strip()
        assert f"\n{name}==" in lock, f"{name} is not in requirements.lock; run make lock"
