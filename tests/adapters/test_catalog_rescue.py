"""A damaged catalog: the node starts with what can be read and the last copy, and nothing else."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.registry.ports import CatalogUnusable, Pin
from skerry.registry.testing import NGINX, some_digest, some_image, some_tag

TAGS = 600
PAGE = 4096
Damage = Callable[[Path], None]


async def filled(path: Path, *, copied: bool = False) -> None:
    """Tags, an image and a pin; with a copy, a tag that has gone since and one that has come."""
    catalog = SqliteCatalog.open(path)
    await catalog.put_manifest(NGINX, some_image("a", "layer"), now=1.0)
    for number in range(TAGS):
        await catalog.put_tag(some_tag(NGINX, f"tag-{number:04}", some_digest("a")))
    await catalog.put_pin(Pin(NGINX, "tag-0001", 2.0))
    if copied:
        assert await catalog.copy()
        await catalog.delete_tag(NGINX, "tag-0000")
        await catalog.put_tag(some_tag(NGINX, "late", some_digest("a")))
    await catalog.close()


def write(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def zero_a_page_of_tags(path: Path) -> None:
    with sqlite3.connect(path) as db:
        sql = "SELECT pageno FROM dbstat WHERE name = 'tag' AND pagetype = 'leaf' ORDER BY pageno"
        pages = [row[0] for row in db.execute(sql)]
    db.close()
    assert len(pages) > 4
    write(path, (pages[len(pages) // 2] - 1) * PAGE, bytes(PAGE))


def garbage_header(path: Path) -> None:
    write(path, 0, b"\xa5" * PAGE)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // PAGE * PAGE)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "mine").write_text("keep me")


def names(catalog: SqliteCatalog) -> set[str]:
    return {tag.name for tag in catalog.all_tags()}


def reopened(path: Path) -> SqliteCatalog:
    """As an operator gets it: a start, where reading found damage a second one."""
    catalog = SqliteCatalog.open(path)
    try:
        names(catalog)
        return catalog
    except CatalogUnusable as error:
        told = error.next_step
    assert told.startswith("restart the node")
    return SqliteCatalog.open(path)


DAMAGES = [zero_a_page_of_tags, garbage_header, cut, emptied, a_folder]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
async def test_it_starts_with_its_copy_and_keeps_what_was_damaged(
    tmp_path: Path, damage: Damage
) -> None:
    path = tmp_path / "catalog.sqlite"
    await filled(path, copied=True)
    damage(path)
    catalog = reopened(path)
    assert catalog.rescue is not None
    kept = catalog.rescue.kept_as
    assert kept is not None
    assert kept.exists()
    assert {f"tag-{number:04}" for number in range(1, TAGS)} <= names(catalog)
    assert catalog.manifest(some_digest("a")) == some_image("a", "layer")
    assert catalog.is_member(NGINX, some_digest("layer"))
    assert catalog.pins() == [Pin(NGINX, "tag-0001", 2.0)]
    await catalog.put_tag(some_tag(NGINX, "new", some_digest("a")))
    await catalog.close()
    again = SqliteCatalog.open(path)
    assert again.rescue is None
    assert "new" in names(again)
    await again.close()


@pytest.mark.parametrize(
    "damage", [garbage_header, cut, zero_a_page_of_tags, a_folder], ids=lambda each: each.__name__
)
async def test_it_starts_without_a_copy_too(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "catalog.sqlite"
    await filled(path)
    damage(path)
    catalog = reopened(path)
    assert catalog.rescue is not None
    assert catalog.rescue.copy_at is None
    assert "tag" in catalog.rescue.holes
    await catalog.put_tag(some_tag(NGINX, "new", some_digest("a")))
    await catalog.close()


async def test_all_but_the_damaged_page_is_saved_without_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    await filled(path)
    zero_a_page_of_tags(path)
    catalog = reopened(path)
    assert catalog.rescue is not None
    assert catalog.rescue.holes == ("tag",)
    assert TAGS - 60 < len(names(catalog)) < TAGS
    assert {"tag-0000", f"tag-{TAGS - 1:04}"} <= names(catalog)
    assert catalog.pins() == [Pin(NGINX, "tag-0001", 2.0)]
    assert catalog.is_member(NGINX, some_digest("layer"))
    await catalog.close()


async def test_what_was_removed_since_the_copy_does_not_come_back_with_a_table_that_is_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "catalog.sqlite"
    await filled(path, copied=True)
    (tmp_path / "catalog.sqlite.mark").touch()
    catalog = SqliteCatalog.open(path)
    assert catalog.rescue is not None
    assert catalog.rescue.holes == ()
    assert "late" in names(catalog)
    assert "tag-0000" not in names(catalog)
    await catalog.close()


async def test_a_row_that_is_no_name_of_a_content_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    await filled(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE tag SET digest = 'sha256:../../etc' WHERE name = 'tag-0003'")
        db.execute("UPDATE member SET last_used = 'yesterday' WHERE kind = 'manifest'")
    db.close()
    (tmp_path / "catalog.sqlite.mark").touch()
    catalog = SqliteCatalog.open(path)
    assert catalog.rescue is not None
    assert set(catalog.rescue.holes) == {"tag", "member"}
    assert len(names(catalog)) == TAGS - 1
    await catalog.close()


async def test_a_copy_that_is_damaged_too_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    await filled(path, copied=True)
    garbage_header(path)
    (tmp_path / "catalog.sqlite.copy").write_bytes(b"\xa5" * 40_000)
    catalog = SqliteCatalog.open(path)
    assert catalog.rescue is not None
    assert catalog.rescue.copy_at is None
    assert names(catalog) == set()
    await catalog.close()


async def test_a_start_that_died_before_the_new_one_was_in_its_place_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.sqlite"
    await filled(path)
    zero_a_page_of_tags(path)
    (tmp_path / "catalog.sqlite.mark").touch()

    class Died(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", dies)
        with pytest.raises(Died):
            SqliteCatalog.open(path)
    assert not path.exists()
    catalog = SqliteCatalog.open(path)
    assert len(names(catalog)) > TAGS - 60
    await catalog.close()


async def test_on_a_disk_that_takes_no_writes_nothing_is_moved_and_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"\xa5" * 40_000)

    def refuses(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuses)
    with pytest.raises(CatalogUnusable, match=r"damaged.*writable and start again"):
        SqliteCatalog.open(path)
    assert [each.name for each in tmp_path.iterdir()] == ["catalog.sqlite"]


async def test_a_damaged_file_overwrites_none_that_was_kept_before(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    for _ in range(3):
        garbage = b"\xa5" * 8192
        path.write_bytes(garbage)
        await SqliteCatalog.open(path).close()
    assert len(list(tmp_path.glob("catalog.sqlite.damaged-*"))) == 3
