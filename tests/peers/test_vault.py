"""The vault as an operator meets it: a real node, nginx as the origin, SeaweedFS behind it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from skerry.app.drill.processes import Setting
from skerry.app.drill.wan import PASS, REFUSE, Wan
from skerry.cdn.vault.testing import offer, read_all
from skerry.cli.main import make_app
from tests.rig.pages import Pages, build
from tests.rig.processes import Rig
from tests.rig.telling import plain
from tests.rig.weed import KEY, LIMITED_KEY, LIMITED_SECRET, SECRET, Weed

MIB = 1 << 20
CANARY = b"canary-1f6b9c-of-a-patient"


@pytest.fixture(scope="module")
def weed(shared: Rig) -> Iterator[Weed]:
    server = Weed(shared)
    yield server
    server.kill()


def vaulted(
    rig: Rig, weed: Weed, prefix: str, *routes: dict[str, Setting], **more: Setting
) -> Pages:
    """A site whose node keeps copies below a prefix of its own."""
    folder = rig.place("credentials")
    vault: dict[str, Setting] = {
        "url": f"s3://vault/{prefix}",
        "endpoint": f"http://{weed.authority}",
        "plain_http": True,
        "credentials_file": str(weed.credentials(folder)),
        **more,
    }
    return build(rig, *routes, whole={"vault": vault})


def skerry(pages: Pages, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(make_app(), [*arguments, "--config", str(pages.node.config)])
    assert result.exit_code == code, result.output
    return result.stdout


def status(pages: Pages) -> dict[str, object]:
    found: dict[str, object] = json.loads(skerry(pages, "vault", "status", "--json"))
    return found


def wait_for(pages: Pages, **counts: int) -> None:
    """Until the vault's status says these numbers."""

    def so() -> bool:
        now = status(pages)
        return all(now[name] == count for name, count in counts.items())

    pages.node.child.wait_until(so, seconds_max=60)


def bucket(weed: Weed, prefix: str) -> dict[str, int]:
    """Every object below a prefix, as whoever runs the store sees it: name and length."""

    async def listed() -> dict[str, int]:
        vault = weed.open(prefix=prefix)
        return {info.name: info.size_bytes async for info in vault.list("")}

    return asyncio.run(listed())


def bytes_in(weed: Weed) -> bytes:
    """Everything the store has on its disk."""
    files = [path for path in (weed.folder / "data").rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files)


def stored(pages: Pages, path: str, data: bytes) -> None:
    assert pages.curl(path).body == data
    pages.node.wait_until_stored()


def test_evicted_and_the_origin_dead_the_same_bytes_come_from_the_vault(
    rig: Rig, weed: Weed
) -> None:
    pages = vaulted(rig, weed, "evicted", {"data_class": "public", "slice": ""})
    small, big = pages.random("/small", 3000), pages.random("/big", 9 * MIB, seed=2)
    stored(pages, "/small", small)
    stored(pages, "/big", big)
    wait_for(pages, there_count=2, waiting_count=0)
    calls = plain(pages.node)["skerry_vault_calls_total", frozenset()]
    assert calls >= len(bucket(weed, "evicted")), "each object took a call"
    skerry(pages, "evict", "--bytes", "1GiB")
    pages.origin.child.kill()
    for path, data in (("/small", small), ("/big", big)):
        seen = pages.curl(path)
        assert (seen.status, seen.body) == (200, data)
        assert "detail=vault" in seen.cache
    pages.node.wait_until_stored()
    assert plain(pages.node)["skerry_vault_calls_total", frozenset()] >= calls + 2
    assert "hit" in pages.curl("/big").cache


def test_an_empty_node_with_the_key_alone_serves_again_with_the_origin_down(
    rig: Rig, weed: Weed
) -> None:
    pages = vaulted(rig, weed, "drill", {"data_class": "public", "slice": ""})
    kept = {f"/page-{n}": pages.random(f"/page-{n}", 2000 + n, seed=n) for n in range(5)}
    for path, data in kept.items():
        stored(pages, path, data)
    wait_for(pages, there_count=5, waiting_count=0)
    line = skerry(pages, "vault", "key")
    data_dir = pages.node.folder / "data"
    pages.node.kill()
    pages.origin.child.kill()
    key = (data_dir / "vault.key").read_bytes()
    assert line.encode() == key
    shutil.rmtree(data_dir)
    data_dir.mkdir()
    (data_dir / "vault.key").write_bytes(key)
    (data_dir / "vault.key").chmod(0o600)
    pages.node.start()
    assert pages.curl("/page-1").status in (502, 504)
    said = skerry(pages, "vault", "restore")
    assert said.startswith("5 records read: 5 taken back, 0 lost")
    for path, data in kept.items():
        seen = pages.curl(path)
        assert (seen.status, seen.body) == (200, data)
        assert int(seen.value("Age")) >= 0


def test_a_link_cut_in_mid_upload_and_a_kill_cost_only_the_part_under_way(
    rig: Rig, weed: Weed
) -> None:
    wan: Wan = rig.wan(weed.authority)
    pages = vaulted(
        rig, weed, "cut", {"data_class": "public", "slice": ""},
        endpoint=f"http://{wan.host}:{wan.port}", bytes_per_second=20 * MIB,
    )  # fmt: skip
    film = pages.random("/film", 40 * MIB)
    stored(pages, "/film", film)
    pages.node.child.wait_until(lambda: len(bucket(weed, "cut")) >= 3, seconds_max=60)
    rig.run(wan.switch(REFUSE))
    before = bucket(weed, "cut")
    assert 3 <= len(before) < 11
    pages.node.restart()
    assert pages.curl("/film").body == film
    assert status(pages)["there_count"] == 0
    rig.run(wan.switch(PASS))
    wait_for(pages, there_count=1, waiting_count=0)
    after = bucket(weed, "cut")
    assert len(after) == 12
    assert before.items() <= after.items()
    skerry(pages, "evict", "--bytes", "1GiB")
    pages.origin.child.kill()
    assert pages.curl("/film").body == film


def test_a_flipped_bit_in_either_tier_is_found_and_healed_from_the_other(
    rig: Rig, weed: Weed
) -> None:
    pages = vaulted(rig, weed, "flip", {"data_class": "public", "slice": ""})
    data = pages.random("/page", 200_000)
    stored(pages, "/page", data)
    wait_for(pages, there_count=1, waiting_count=0)
    assert "0 damaged" in skerry(pages, "vault", "verify")
    pages.origin.child.kill()

    [blob] = [path for path in (pages.node.folder / "data" / "blobs").rglob("*") if path.is_file()]
    flip(blob)
    said = skerry(pages, "scrub")
    assert "1 were wrong, 1 healed, 0 lost" in said
    assert blob.read_bytes() == data
    assert pages.curl("/page").body == data

    name = max(bucket(weed, "flip"), key=lambda each: bucket(weed, "flip")[each])
    asyncio.run(damage(weed, name))
    skerry(pages, "vault", "verify", code=1)
    assert "1 damaged, 1 healed, 0 lost" in skerry(pages, "vault", "repair")
    assert "0 damaged" in skerry(pages, "vault", "verify")


def flip(path: Path) -> None:
    turned = bytearray(path.read_bytes())
    turned[len(turned) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(turned))


async def damage(weed: Weed, name: str) -> None:
    """One bit of an object turns, by the hand of whoever runs the store."""
    vault = weed.open(prefix="flip")
    turned = bytearray(await read_all(vault, name))
    turned[-100] ^= 1
    await vault.put(offer(name, bytes(turned)), replace=True)


def test_of_sensitive_paths_there_is_no_byte_in_the_bucket(rig: Rig, weed: Weed) -> None:
    pages = vaulted(
        rig, weed, "canary", {"prefix": "/"}, {"prefix": "/public/", "data_class": "public"},
        {"prefix": "/public/quiet/", "data_class": "public", "vault": False},
    )  # fmt: skip
    public = b"open-" + Random(3).randbytes(4000)
    pages.write("/public/page", public)
    for path in ("/patient", "/public/quiet/page"):
        pages.write(path, CANARY * 50)
        assert pages.curl(path).body == CANARY * 50
    stored(pages, "/public/page", public)
    wait_for(pages, there_count=1, waiting_count=0)
    names = list(bucket(weed, "canary"))
    assert len(names) == 2
    on_disk = bytes_in(weed)
    for secret in (CANARY, b"/patient", b"www.example.org", public[:64], b"/public/page"):
        assert secret not in on_disk
        assert secret.decode("latin-1") not in "".join(names)


def test_a_purge_deletes_what_is_in_the_vault(rig: Rig, weed: Weed) -> None:
    pages = vaulted(rig, weed, "purge", {"data_class": "public", "slice": ""})
    data = pages.random("/old/page", 3000)
    stored(pages, "/old/page", data)
    wait_for(pages, there_count=1, waiting_count=0)
    skerry(pages, "evict", "--bytes", "1GiB")
    said = skerry(pages, "purge", "--prefix", f"{pages.url}/old/")
    assert said.startswith("1 objects gone")
    pages.origin.child.kill()
    assert pages.curl("/old/page").status in (502, 504)
    wait_for(pages, there_count=0, leaving_count=0)
    pages.node.child.wait_until(lambda: bucket(weed, "purge") == {})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"secret_access_key": "SKWRONG"}, "SignatureDoesNotMatch"),
        ({"access_key_id": LIMITED_KEY, "secret_access_key": LIMITED_SECRET}, "NoSuchBucket"),
    ],
    ids=["wrong credentials", "no bucket"],
)
def test_a_vault_that_refuses_is_told_of_and_costs_nothing(
    rig: Rig, weed: Weed, more: dict[str, str], said: str
) -> None:
    place = "nowhere" if said == "NoSuchBucket" else "vault"
    pages = vaulted(rig, weed, "refused", {"data_class": "public"}, url=f"s3://{place}/refused")
    keys = {"access_key_id": KEY, "secret_access_key": SECRET, **more}
    text = "\n".join(f'{name} = "{value}"' for name, value in keys.items())
    pages.node.stop()
    [path] = pages.node.folder.parent.glob("*-credentials/*.toml")
    path.write_text(text)
    pages.node.start()
    data = pages.random("/page", 3000)
    stored(pages, "/page", data)
    pages.node.child.wait_until(lambda: status(pages)["trouble"] != "", seconds_max=30)
    assert "hit" in pages.curl("/page").cache
    told = skerry(pages, "events")
    assert "vault.unavailable" in told
    assert "WRONG" not in told + pages.node.log.read_text()
    assert said in str(status(pages)["trouble"])


def test_a_seek_into_what_was_evicted_is_served_slice_by_slice_from_the_vault(
    rig: Rig, weed: Weed
) -> None:
    pages = vaulted(rig, weed, "slices", {"data_class": "public"})
    film = pages.random("/film", 24 * MIB)
    start, end = 11 * MIB + 5, 13 * MIB + 77
    assert pages.curl("/film", "-r", f"{start}-{end}").body == film[start : end + 1]
    pages.node.wait_until_stored()
    wait_for(pages, there_count=1, waiting_count=0, content_count=3)
    skerry(pages, "evict", "--bytes", "1GiB")
    pages.node.restart()
    pages.origin.child.kill()
    seen = pages.curl("/film", "-r", f"{start}-{end}")
    assert (seen.status, seen.body) == (206, film[start : end + 1])


def test_a_directory_is_a_vault_too(rig: Rig) -> None:
    cold = rig.place("cold")
    route: dict[str, Setting] = {"data_class": "public", "slice": ""}
    pages = build(rig, route, whole={"vault": {"url": f"file://{cold}/north"}})
    data = pages.random("/page", 9 * MIB)
    stored(pages, "/page", data)
    wait_for(pages, there_count=1, waiting_count=0)
    parts = [path for path in cold.rglob("*") if path.is_file()]
    assert len(parts) == 5
    assert not any(data[:64] in path.read_bytes() for path in parts)
    skerry(pages, "evict", "--bytes", "1GiB")
    pages.origin.child.kill()
    assert pages.curl("/page").body == data
    part = max(parts, key=lambda path: path.stat().st_size)
    flip(part)
    skerry(pages, "vault", "verify", code=1)
    assert "1 damaged, 1 healed, 0 lost" in skerry(pages, "vault", "repair")


def test_a_vault_that_is_down_for_long_holds_nothing_up_and_the_outbox_stays_bounded(
    rig: Rig, weed: Weed
) -> None:
    wan = rig.wan(weed.authority)
    rig.run(wan.switch(REFUSE))
    pages = vaulted(
        rig, weed, "long", {"data_class": "public"},
        endpoint=f"http://{wan.host}:{wan.port}", copies_waiting_max=3,
    )  # fmt: skip
    kept = {f"/p{n}": pages.random(f"/p{n}", 2000 + n, seed=n) for n in range(8)}
    for path, data in kept.items():
        stored(pages, path, data)
    pages.node.child.wait_until(lambda: status(pages)["dropped_count"] == 5)
    assert status(pages)["waiting_count"] == 3
    for path, data in kept.items():
        seen = pages.curl(path)
        assert (seen.body, "hit" in seen.cache) == (data, True)
    told = skerry(pages, "events")
    assert "vault.outbox_full" in told
    assert told.count("vault.unavailable") == 1
    rig.run(wan.switch(PASS))
    wait_for(pages, there_count=3, waiting_count=0)


def test_a_damaged_record_of_the_vault_is_laid_aside_and_stops_no_site(rig: Rig) -> None:
    route: dict[str, Setting] = {"data_class": "public"}
    whole: dict[str, Setting] = {"vault": {"url": f"file://{rig.place('cold')}/north"}}
    pages = build(rig, route, whole=whole)
    data = pages.random("/page", 3000)
    stored(pages, "/page", data)
    pages.node.stop()
    record = pages.node.folder / "data" / "vault.sqlite"
    record.write_bytes(b"no database" * 1000)
    pages.node.start()
    assert pages.curl("/page").body == data
    assert "file.salvaged vault.sqlite" in skerry(pages, "events", "--since", "1h")
    aside = record.with_name("vault.sqlite.damaged-1")
    assert aside.read_bytes().startswith(b"no database"), "what waits in it is not thrown away"
