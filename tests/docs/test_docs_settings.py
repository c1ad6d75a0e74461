"""The settings that the documentation shows would be taken by a node."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from skerry.app.settings.errors import SettingsError
from skerry.app.settings.load import load
from skerry.app.settings.schema import Settings
from tests.docs.pages import ROOT, Page, pages

SECTIONS = set(Settings.__struct_encode_fields__)


def is_ours(text: str) -> bool:
    """Whether a block of TOML is a node's settings and not a client's."""
    document = tomllib.loads(text)
    lists = {name for name, value in document.items() if isinstance(value, list)}
    return bool(document) and set(document) <= SECTIONS and "registry" not in lists


def refused(text: str, folder: Path) -> list[str]:
    """Why a node would refuse these settings, files that only the reader has aside."""
    path = folder / "skerry.toml"
    path.write_text(text)
    try:
        load(path, {}, {})
    except SettingsError as error:
        return [
            f"{problem.field}: {problem.reason}"
            for problem in error.problems
            if "no such file" not in problem.reason
        ]
    return []


BLOCKS = [(page, text) for page in pages() for text in page.fences("toml") if is_ours(text)]


@pytest.mark.parametrize(("page", "text"), BLOCKS, ids=lambda part: getattr(part, "name", ""))
def test_settings_that_are_shown_are_taken(page: Page, text: str, tmp_path: Path) -> None:
    assert refused(text, tmp_path) == [], page.name


def test_the_settings_file_we_ship_is_taken(tmp_path: Path) -> None:
    assert refused((ROOT / "deploy" / "skerry.toml").read_text(), tmp_path) == []


def test_the_readme_shows_settings() -> None:
    assert "README.md" in {page.name for page, _ in BLOCKS}


def test_a_setting_that_is_not_there_is_found(tmp_path: Path) -> None:
    assert refused('[store]\nbugdet = "1GB"', tmp_path)
