"""The book of pins: the same suite for the memory twin and the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.adapters.pin_file import FILE, PinFile
from skerry.trust.ports import PinsUnusable
from skerry.trust.testing_names import A_STATE, PIN_BOOK_CHECKS, MemoryPinBook, Reopen


@pytest.fixture(params=["memory", "file"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    book = MemoryPinBook()
    return (lambda: book) if request.param == "memory" else (lambda: PinFile(tmp_path))


@pytest.mark.parametrize("check", PIN_BOOK_CHECKS, ids=lambda check: check.__name__)
async def test_a_book_of_pins_keeps_its_contract(check, reopen: Reopen) -> None:  # type: ignore[no-untyped-def]
    await check(reopen)


@pytest.mark.parametrize("text", ["", "{", '{"version": 2, "names": {}}', '{"version": 1}'])
def test_a_file_that_is_not_ours_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(PinsUnusable, match=r"names\.json"):
        PinFile(tmp_path).load()


async def test_a_save_that_fails_leaves_the_last_one(tmp_path: Path) -> None:
    await PinFile(tmp_path).save(A_STATE)
    (tmp_path / f"{FILE}.new").mkdir()
    with pytest.raises(PinsUnusable, match="cannot be written"):
        await PinFile(tmp_path).save(type(A_STATE)())
    assert PinFile(tmp_path).load() == A_STATE
