"""Damaged files of a node: what can be read goes on in a new one, and nothing is thrown away."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from skerry.adapters import sqlite_salvage
from skerry.adapters.sqlite_file import SqliteFile
from skerry.adapters.sqlite_ledger import LEDGER, SqliteLedger
from skerry.adapters.sqlite_salvage import Salvage, open_or_salvage, settle
from skerry.adapters.sqlite_tokens import TOKENS
from skerry.trust.tokens.ports import TokensUnusable

ROWS = 2000
PAGE = 4096
Damage = Callable[[Path], None]


def filled(path: Path) -> None:
    SqliteFile(path, TOKENS).close_now()
    with sqlite3.connect(path) as db:
        db.executemany(
            "INSERT INTO revoked_token VALUES (?, 1.5)",
            [(f"token-{number:05}",) for number in range(ROWS)],
        )
        db.execute("INSERT INTO robot VALUES ('ci', x'00ff', '[]', 1.0, NULL, 'me')")
    db.close()


def zeroed_page(path: Path) -> None:
    with sqlite3.connect(path) as db:
        sql = "SELECT pageno FROM dbstat WHERE name = 'revoked_token' AND pagetype = 'leaf'"
        pages = [row[0] for row in db.execute(f"{sql} ORDER BY pageno")]
    db.close()
    with path.open("r+b") as file:
        file.seek((pages[len(pages) // 2] - 1) * PAGE)
        file.write(bytes(PAGE))


def garbage_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xa5" * PAGE)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // PAGE * PAGE)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "mine").write_text("keep me")


DAMAGES = [zeroed_page, garbage_header, cut, emptied, a_folder]


def salvaged(path: Path, *, whole_only: tuple[str, ...] = ()) -> tuple[SqliteFile, Salvage]:
    file, found = open_or_salvage(path, TOKENS, whole_only=whole_only)
    assert found is not None
    return file, found


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
async def test_a_damaged_file_is_kept_aside_and_a_new_one_takes_writes(
    tmp_path: Path, damage: Damage
) -> None:
    path = tmp_path / "tokens.sqlite"
    filled(path)
    damage(path)
    before = None if path.is_dir() else path.read_bytes()
    file, found = salvaged(path)
    assert found.kept_as == tmp_path / "tokens.sqlite.damaged-1"
    if before is None:
        assert (found.kept_as / "mine").read_text() == "keep me"
    else:
        assert found.kept_as.read_bytes() == before
    assert "damaged-1" in found.next_step
    await file.write(lambda db: db.execute("INSERT INTO revoked_token VALUES ('new', 9.0)"))
    await file.close()
    settle(path)
    again, nothing = open_or_salvage(path, TOKENS)
    assert nothing is None
    assert again.read("SELECT until FROM revoked_token WHERE id = 'new'") == [(9.0,)]
    await again.close()


async def test_all_but_the_damaged_page_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "tokens.sqlite"
    filled(path)
    zeroed_page(path)
    file, found = salvaged(path, whole_only=("robot",))
    assert found.holes == ("revoked_token",)
    rows = [row[0] for row in file.read("SELECT id FROM revoked_token ORDER BY id")]
    assert ROWS - 200 < len(rows) < ROWS
    assert (rows[0], rows[-1]) == ("token-00000", f"token-{ROWS - 1:05}")
    assert file.read("SELECT name FROM robot") == [("ci",)]
    await file.close()


async def test_a_table_with_a_hole_is_left_out_where_half_of_it_would_mislead(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokens.sqlite"
    filled(path)
    zeroed_page(path)
    file, _ = salvaged(path, whole_only=("revoked_token",))
    assert file.read("SELECT count(*) FROM revoked_token") == [(0,)]
    await file.close()


async def test_until_the_consequences_are_drawn_each_start_finds_the_damage(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokens.sqlite"
    filled(path)
    garbage_header(path)
    file, _ = salvaged(path)
    await file.close()
    again, found = salvaged(path)
    assert found.holes == ()
    await again.close()


async def test_a_start_that_died_half_way_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens.sqlite"
    filled(path)
    zeroed_page(path)

    class Died(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", dies)
        with pytest.raises(Died):
            open_or_salvage(path, TOKENS)
    assert not path.exists()
    file, _ = salvaged(path)
    assert file.read("SELECT count(*) FROM revoked_token")[0][0] > ROWS - 200
    await file.close()


async def test_on_a_disk_that_takes_no_writes_it_goes_on_in_memory_and_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens.sqlite"
    filled(path)
    garbage_header(path)
    names = sorted(each.name for each in tmp_path.iterdir())

    def refuses(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuses)
    file, found = salvaged(path)
    assert found.in_memory
    assert "writable" in found.next_step
    assert sorted(each.name for each in tmp_path.iterdir()) == names
    await file.close()


async def test_a_sound_file_on_a_disk_that_takes_no_writes_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens.sqlite"
    filled(path)
    real = SqliteFile

    def readable_only(where: Path | None, form: object, *, frozen: bool = False) -> SqliteFile:
        if not frozen:
            try:
                error = sqlite3.OperationalError("attempt to write a readonly database")
                error.sqlite_errorcode = sqlite3.SQLITE_READONLY
                raise error
            except sqlite3.Error as cause:
                raise TokensUnusable("it cannot be opened") from cause
        return real(where, TOKENS, frozen=True)

    monkeypatch.setattr(sqlite_salvage, "SqliteFile", readable_only)
    file, found = open_or_salvage(path, TOKENS)
    assert found is None
    assert file.read("SELECT count(*) FROM revoked_token") == [(ROWS,)]
    await file.close()


async def test_another_programs_file_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "tokens.sqlite"
    await SqliteLedger(path).close()
    before = path.read_bytes()
    with pytest.raises(TokensUnusable, match="another program's"):
        open_or_salvage(path, TOKENS)
    assert path.read_bytes() == before
    assert LEDGER.application_id != TOKENS.application_id
