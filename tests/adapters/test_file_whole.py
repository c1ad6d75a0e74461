"""Small files that are replaced whole, by threads that may overtake each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.adapters.file_whole import LatestFile


def test_what_was_begun_last_stays_whichever_thread_ends_last(tmp_path: Path) -> None:
    file = LatestFile(tmp_path / "kept")
    older, newer = file.begin(), file.begin()
    file.replace(newer, b"logged out")
    file.replace(older, b"logged in")
    assert file.path.read_bytes() == b"logged out"
    file.replace(file.begin(), b"somebody else")
    assert file.path.read_bytes() == b"somebody else"


def test_what_could_not_be_written_may_be_tried_again(tmp_path: Path) -> None:
    file = LatestFile(tmp_path / "kept")
    file.path.mkdir()
    number = file.begin()
    with pytest.raises(OSError, match="directory"):
        file.replace(number, b"text")
    file.path.rmdir()
    file.replace(number, b"text")
    assert file.path.read_bytes() == b"text"
