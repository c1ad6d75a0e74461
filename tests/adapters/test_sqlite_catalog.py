"""The catalog in SQLite: the port's conformance suite, in memory and on the disk, and the file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.adapters import sqlite_catalog_file
from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.registry.ports import CatalogReadOnly, CatalogUnusable, Pin, Tag
from skerry.registry.testing import (
    CATALOG_CHECKS,
    NGINX,
    OTHER,
    Check,
    some_digest,
    some_image,
    some_tag,
)


@pytest.fixture(params=["memory", "disk"])
async def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteCatalog]:
    found = SqliteCatalog.open(None if request.param == "memory" else tmp_path / "catalog.sqlite")
    yield found
    await found.close()


@pytest.mark.parametrize("check", CATALOG_CHECKS, ids=lambda check: check.__name__)
async def test_the_catalog_keeps_its_port(check: Check, catalog: SqliteCatalog) -> None:
    await check(catalog)


async def test_what_was_written_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    first = SqliteCatalog.open(path)
    await first.put_manifest(NGINX, some_image("a", "layer"), now=1.0)
    await first.put_tag(some_tag(NGINX, "latest", some_digest("a")))
    await first.put_pin(Pin(NGINX, "latest", 2.0))
    await first.close()
    second = SqliteCatalog.open(path)
    assert second.tag(NGINX, "latest") == some_tag(NGINX, "latest", some_digest("a"))
    assert second.manifest(some_digest("a")) == some_image("a", "layer")
    assert second.pins() == [Pin(NGINX, "latest", 2.0)]
    await second.close()


_WRITER = """
import asyncio, os, sys
from pathlib import Path
from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.registry.testing import NGINX, some_digest, some_tag

async def main():
    catalog = SqliteCatalog.open(Path(sys.argv[1]))
    for number in range(10_000):
        await catalog.put_tag(some_tag(NGINX, f"t{number}", some_digest("a")))
        print(number, flush=True)

asyncio.run(main())
"""


def test_an_acknowledged_write_survives_kill_minus_nine(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(40)]
        writer.kill()
        acknowledged.extend(int(line) for line in writer.stdout.read().split())
    found = {tag.name for tag in SqliteCatalog.open(path).all_tags()}
    assert {f"t{number}" for number in acknowledged} <= found


async def test_writes_that_queue_up_share_one_commit(tmp_path: Path) -> None:
    catalog = SqliteCatalog.open(tmp_path / "catalog.sqlite")
    tags = [some_tag(NGINX, f"t{number}", some_digest("a")) for number in range(200)]
    await asyncio.gather(*(catalog.put_tag(tag) for tag in tags))
    found = catalog.statistics()
    assert len(catalog.tags(NGINX)) == found.write_count == 200
    assert found.commit_count < 100
    await catalog.close()


async def test_one_bad_change_fails_alone_in_its_batch(catalog: SqliteCatalog) -> None:
    def bad(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO tag VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")

    file = catalog._file
    outcomes = await asyncio.gather(
        catalog.put_tag(some_tag(NGINX, "before", some_digest("a"))),
        file.write(bad),
        catalog.put_tag(some_tag(NGINX, "after", some_digest("a"))),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), CatalogUnusable, type(None)]
    assert [tag.name for tag in catalog.tags(NGINX)] == ["after", "before"]
    assert catalog.statistics().failed_count == 1


async def test_t36_a_full_disk_refuses_writes_serves_reads_and_recovers_by_itself(
    catalog: SqliteCatalog,
) -> None:
    await catalog.put_tag(some_tag(NGINX, "kept", some_digest("a")))
    writer = catalog._file._writer
    assert writer is not None
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")  # what SQLITE_FULL looks like
    layers = [f"layer {number}" for number in range(200)]
    with pytest.raises(CatalogReadOnly, match="full"):
        await catalog.put_manifest(OTHER, some_image("large", *layers), now=1.0)
    assert catalog.manifest(some_digest("large")) is None
    assert list(catalog.members(OTHER)) == []
    assert catalog.tag(NGINX, "kept") is not None
    writer.execute("PRAGMA max_page_count = 1000000")
    await catalog.put_manifest(OTHER, some_image("after", "x"), now=1.0)
    assert catalog.manifest(some_digest("after")) is not None


_READ_ONLY = """
set -e
mount -t tmpfs tmpfs {mount}
cp {source}/* {mount}/
mount -o remount,ro {mount}
{python} -c '{code}'
"""

_READER = """
import asyncio, subprocess, sys
from pathlib import Path
from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.registry.ports import CatalogReadOnly
from skerry.registry.testing import NGINX, some_digest, some_tag

async def main():
    mount = Path("MOUNT")
    catalog = SqliteCatalog.open(mount / "catalog.sqlite")
    assert catalog.tag(NGINX, "latest"), "reads go on"
    assert not catalog.statistics().writable
    try:
        await catalog.put_tag(some_tag(NGINX, "new", some_digest("b")))
    except CatalogReadOnly:
        pass
    else:
        raise SystemExit("a write was acknowledged")
    subprocess.run(["mount", "-o", "remount,rw", str(mount)], check=True)
    await catalog.put_tag(some_tag(NGINX, "new", some_digest("b")))
    assert catalog.tag(NGINX, "new"), "what was written after recovery is read"
    await catalog.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("stopped", ["cleanly", "by kill -9"])
async def test_t36_a_disk_that_is_read_only_at_start_serves_reads_and_recovers(
    tmp_path: Path, stopped: str
) -> None:
    source, mount = tmp_path / "source", tmp_path / "mount"
    for folder in (source, mount):
        folder.mkdir()
    catalog = SqliteCatalog.open(tmp_path / "catalog.sqlite")
    await catalog.put_tag(some_tag(NGINX, "latest", some_digest("a")))
    if stopped == "cleanly":
        await catalog.close()
    for path in tmp_path.glob("catalog.sqlite*"):
        (source / path.name).write_bytes(path.read_bytes())
    if stopped != "cleanly":
        await catalog.close()
    script = _READ_ONLY.format(
        mount=mount,
        source=source,
        python=sys.executable,
        code=_READER.replace("MOUNT", str(mount)),
    )
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


async def test_a_catalog_of_a_newer_skerry_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    await SqliteCatalog.open(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(CatalogUnusable, match="format 99"):
        SqliteCatalog.open(path)
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE theirs (x)")
    with pytest.raises(CatalogUnusable, match="another program"):
        SqliteCatalog.open(path)


async def test_each_migration_brings_an_older_file_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.sqlite"
    await SqliteCatalog.open(path).close()
    now = sqlite_catalog_file.VERSION
    monkeypatch.setattr(sqlite_catalog_file, "VERSION", now + 1)
    monkeypatch.setitem(sqlite_catalog_file.MIGRATIONS, now, "ALTER TABLE pin ADD COLUMN why TEXT")
    await SqliteCatalog.open(path).close()
    with sqlite3.connect(path) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(pin)")]
        assert columns[-1] == "why"
        assert database.execute("PRAGMA user_version").fetchone() == (now + 1,)


async def test_a_walk_over_everything_holds_no_transaction(tmp_path: Path) -> None:
    catalog = SqliteCatalog.open(tmp_path / "catalog.sqlite")
    layers = [f"layer {number}" for number in range(900)]
    for name in ("a", "b", "c", "d", "e"):
        await catalog.put_manifest(NGINX, some_image(name, *(f"{name} {x}" for x in layers)), now=1)
    walk = iter(catalog.members())
    next(walk)
    await catalog.put_member(OTHER, some_digest("late"), "layer", now=1.0)
    (row,) = catalog._file._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # type: ignore[union-attr]
    assert row[0] == 0  # not kept busy by the walk
    assert len(list(walk)) == 5 * 902 + 1 - 1
    await catalog.close()


def test_opening_does_not_grow_with_the_catalog(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    catalog = SqliteCatalog.open(path)
    writer = catalog._file._writer
    assert writer is not None
    steps = {"count": 0}

    def count() -> None:
        steps["count"] += 1

    def opened() -> int:
        steps["count"] = 0
        real = sqlite3.connect

        def counted(*args: object, **kwargs: object) -> sqlite3.Connection:
            connection: sqlite3.Connection = real(*args, **kwargs)  # type: ignore[call-overload]
            connection.set_progress_handler(count, 100)
            return connection

        sqlite3.connect = counted  # type: ignore[assignment]
        try:
            SqliteCatalog.open(path)
        finally:
            sqlite3.connect = real
        return steps["count"]

    empty = opened()
    with writer:
        writer.execute("BEGIN")
        writer.executemany(
            "INSERT INTO member VALUES ('docker.io', 'library/nginx', ?, 'layer', 1.0, 1)",
            ((f"sha256:{number:064x}",) for number in range(100_000)),
        )
        writer.execute("COMMIT")
    assert opened() <= empty + 1


# damage


def smash(path: Path, *, page: int = 1, pages: int = 200) -> None:
    """What a bad disk makes of a file."""
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xa5" * 4096 * pages)


async def filled(path: Path) -> None:
    catalog = SqliteCatalog.open(path)
    await catalog.put_tag(Tag(NGINX, "1", some_digest("a"), 1.0, 1.0))
    assert await catalog.copy()
    await catalog.put_tag(Tag(NGINX, "2", some_digest("b"), 1.0, 1.0))
    await catalog.close()


@pytest.mark.parametrize("page", [0, 1], ids=["at once", "when it is read"])
async def test_a_damaged_catalog_is_replaced_by_its_last_copy(tmp_path: Path, page: int) -> None:
    path = tmp_path / "catalog.sqlite"
    await filled(path)
    smash(path, page=page)
    if page:
        catalog = SqliteCatalog.open(path)
        with pytest.raises(CatalogUnusable, match=r"malformed.*restart the node"):
            list(catalog.all_tags())
        assert catalog.damaged
        assert not await catalog.copy(), "the good copy stays"
        await catalog.close()
    catalog = SqliteCatalog.open(path)
    assert catalog.rescue is not None
    assert catalog.rescue.copy_at is not None
    assert [tag.name for tag in catalog.all_tags()] == ["1"]
    await catalog.put_tag(Tag(NGINX, "3", some_digest("c"), 1.0, 1.0))
    await catalog.close()
    kept = [each.name for each in tmp_path.iterdir() if each.name.endswith(".damaged-1")]
    assert len(kept) == 1
    again = SqliteCatalog.open(path)
    assert again.rescue is None
    assert [tag.name for tag in again.all_tags()] == ["1", "3"]
    await again.close()
