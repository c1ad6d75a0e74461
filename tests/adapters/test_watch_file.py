"""The file of watched domains keeps what it was given, and is never half believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.adapters.watch_file import FILE, WatchFile
from skerry.trust.testing_watch import A_KEPT, WATCH_BOOK_CHECKS, MemoryWatchBook
from skerry.trust.watch_ports import WatchUnusable


@pytest.mark.parametrize("check", WATCH_BOOK_CHECKS)
async def test_the_file_is_a_book(check, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    await check(lambda: WatchFile(tmp_path))


@pytest.mark.parametrize("check", WATCH_BOOK_CHECKS)
async def test_the_memory_twin_is_a_book(check) -> None:  # type: ignore[no-untyped-def]
    book = MemoryWatchBook()
    await check(lambda: book)


@pytest.mark.parametrize("change", [(b"example.net", b"example.com"), (b'"version"', b'"v"')])
async def test_a_damaged_file_is_refused_with_what_to_do(
    tmp_path: Path, change: tuple[bytes, bytes]
) -> None:
    await WatchFile(tmp_path).save({"example.org": A_KEPT})
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().replace(*change))
    with pytest.raises(WatchUnusable, match="damaged") as caught:
        WatchFile(tmp_path).load()
    assert "move it away" in caught.value.next_step


async def test_a_write_that_fails_leaves_the_last_one(tmp_path: Path) -> None:
    book = WatchFile(tmp_path)
    await book.save({"example.org": A_KEPT})
    (tmp_path / f"{FILE}.new").mkdir()
    with pytest.raises(WatchUnusable, match="cannot be written"):
        await book.save({})
    assert dict(book.load()) == {"example.org": A_KEPT}
