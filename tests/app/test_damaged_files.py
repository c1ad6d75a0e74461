"""A node whose files are damaged comes up, says so, and believes nothing it cannot prove."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from skerry.adapters.ledger_mark import LedgerMark, Reached
from skerry.app.settings.alarms import AlarmSettings
from skerry.dashboard.needs import needs
from tests.app.test_trust_root import Scene
from tests.rig.crew import A, Crew

PULL_A, PULL_B = "repository:local/a:pull", "repository:local/b:pull"
AT_A, AT_B = "/v2/local/a/manifests/1", "/v2/local/b/manifests/1"
Damage = Callable[[Path], None]


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    made = Crew(tmp_path / "one")
    made.more = {"alarms": {"webhook": [{"url": "https://alarms.invalid/"}]}}
    await made.start()
    await made.fill()
    yield made
    await made.stop()


def garbage(path: Path) -> None:
    path.write_bytes(b"\xa5" * 20_000)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


async def restarted(crew: Crew, damage: Damage, *names: str) -> None:
    await crew.stop()
    for name in names:
        damage(crew.folder / "data" / name)
    await crew.start()


async def status_of(crew: Crew) -> dict[str, list[str]]:
    token = (crew.folder / "data" / "admin.token").read_text().strip()
    got = await crew.admin("GET", "/api/v1/status", ("Authorization", f"Bearer {token}"))
    found: dict[str, list[str]] = json.loads(got.body)
    return found


@pytest.mark.parametrize("damage", [garbage, emptied, a_folder], ids=lambda each: each.__name__)
async def test_with_every_file_damaged_it_starts_and_says_what_to_do(
    crew: Crew, damage: Damage
) -> None:
    names = sorted(path.name for path in (crew.folder / "data").glob("*.sqlite"))
    assert {"alarms.sqlite", "catalog.sqlite", "ledger.sqlite", "tokens.sqlite"} <= set(names)
    await restarted(crew, damage, *names)
    assert (await crew.send("GET", "/v2/")).status == 401, "the door is open"
    if damage is not emptied:
        kept = {path.name for path in (crew.folder / "data").glob("*.damaged-1")}
        assert {"catalog.sqlite.damaged-1", "tokens.sqlite.damaged-1"} <= kept
    warnings = (await status_of(crew))["warnings"]
    for name in ("tokens.sqlite", "ledger.sqlite", "alarms.sqlite"):
        assert any(name in each and "check the disk" in each for each in warnings)
    found = needs(tuple(reversed(crew.node.events.recent())), crew.clock.now())
    assert {"file.salvaged", "tokens.closed"} <= {each.kind for each in found}
    # Everything works: who is known logs in, what is pushed is kept.
    await crew.fill()
    assert (await crew.ask(AT_A, await crew.token("ann", PULL_A))).body == A.manifest.data


@pytest.mark.parametrize(
    "damage", [garbage, emptied, a_folder, Path.unlink], ids=lambda each: each.__name__
)
async def test_a_token_that_was_revoked_does_not_come_back_with_the_loss_of_the_list(
    crew: Crew, damage: Damage
) -> None:
    revoked, other = await crew.token("ann", PULL_A), await crew.token("bob", PULL_B)
    assert crew.node.known is not None
    book = crew.node.known.tokens.book
    await book.revoke_subject("ann", at=crew.node.known.tokens.now())
    assert (await crew.ask(AT_A, revoked)).status == 401
    assert (await crew.ask(AT_B, other)).status == 200
    await restarted(crew, damage, "tokens.sqlite")
    assert (await crew.ask(AT_A, revoked)).status == 401
    assert (await crew.ask(AT_B, other)).status == 401, "nobody knows whether it was revoked"
    crew.clock.pass_by(1)
    assert (await crew.ask(AT_B, await crew.token("bob", PULL_B))).status == 200
    assert crew.node.events.recent("tokens.closed")
    # It stays so after a start without any damage, which is not told again.
    await restarted(crew, damage)
    assert (await crew.ask(AT_A, revoked)).status == 401
    assert not crew.node.events.recent("tokens.closed")


async def test_a_ledger_that_has_lost_its_newest_rows_says_so_at_the_start(crew: Crew) -> None:
    await crew.stop()
    mark = LedgerMark(crew.folder / "data" / "ledger.mark")
    mark.advance(Reached(closing=1000, bucket=0, chain="gone"))
    await crew.start()
    (told,) = crew.node.events.recent("ledger.rows_missing")
    assert "closings, from" in told.cause
    found = needs(tuple(reversed(crew.node.events.recent())), crew.clock.now())
    assert "ledger.rows_missing" in {each.kind for each in found}
    assert "ledger.rows_missing" in AlarmSettings().events
    assert "from" in crew.node.budget.ledger.verify().why


async def test_a_catalog_with_a_copy_serves_after_its_loss(crew: Crew) -> None:
    token = await crew.token("ann", PULL_A)
    path = crew.folder / "data" / "catalog.sqlite"
    await crew.stop()
    shutil.copyfile(path, path.with_name("catalog.sqlite.copy"))
    garbage(path)
    await crew.start()
    assert (await crew.ask(AT_A, token)).body == A.manifest.data
    (told,) = crew.node.events.recent("catalog.restored")
    assert "its copy of" in told.cause
    assert any("catalog" in each for each in (await status_of(crew))["warnings"])


async def test_with_the_roots_lost_an_old_root_is_not_taken_until_an_operator_has_looked(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene.first_root()
    await scene.open()
    await scene.pushed()
    await scene.signed("dora")
    assert await scene.status() == 200
    scene.next_root("keys", "revoke", "dora")
    assert (await scene.command("reload"))[0] == 0
    assert await scene.status() == 403
    await scene.close()
    data = tmp_path / "data"
    garbage(data / "trust.sqlite")
    # Whoever can write into the folder takes the newer root away.
    newest = max(scene.root.glob("2*"))
    newest.rename(tmp_path / newest.name)
    await scene.open()
    assert await scene.status() == 403
    assert (await scene.command("reload"))[0] == 0
    assert await scene.status() == 403
    assert scene.node.events.recent("trust.roots_lost")
    await scene.close()
    await scene.open()
    assert await scene.status() == 403, "a second start does not forget it"
    await scene.close()
    (tmp_path / newest.name).rename(newest)
    (data / "trust.roots-lost").unlink()
    await scene.open()
    assert await scene.status() == 403, "dora's key is revoked"
    await scene.signed("devi")
    assert await scene.status() == 200
    await scene.close()
