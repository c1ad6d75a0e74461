"""The bundles of a node: made on time, kept through an outage, sent after it, with no gap."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from skerry.adapters.counts_file import PLACE_BYTES, CountsFile
from skerry.adapters.http_client import HttpTransport
from skerry.adapters.resolver import NameResolver
from skerry.adapters.sqlite_bundles import SqliteBundles
from skerry.adapters.sqlite_telemetry import SqliteTelemetry
from skerry.aio.tasks import Nursery
from skerry.app.telemetry.bundle_delivery import (
    Delivery,
    Destination,
    NotPut,
    Server,
    ToFolder,
    ToServer,
)
from skerry.app.trust.node_key import check_signature, ensure_key, read_public
from skerry.base.clock import ManualClock, SystemClock
from skerry.telemetry.bundling import BEAT_SECONDS, Bundling
from skerry.telemetry.core.bundles import file_name, read, verify
from skerry.telemetry.events import Event, Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.ports import Beat, Place
from skerry.upstream.ports import Dial
from tests.rig.http import Asked, Reply, TinyServer
from tests.rig.processes import need

HOUR = 3600
DIAL = Dial(private_hosts=frozenset({"127.0.0.1"}))
EVERY = 900.0


@dataclass
class Life:
    """One life of a node's bundles, over files in a folder."""

    folder: Path
    clock: ManualClock
    metrics: Registry = field(default_factory=Registry)

    def __post_init__(self) -> None:
        self.key = ensure_key(self.folder)
        self.public = read_public(self.key.public_pem.encode())
        self.record = SqliteTelemetry(
            self.folder / "telemetry.sqlite", keep_seconds=1e9, bytes_max=1 << 30
        )
        self.events = Events(self.clock.now)
        self.events.keep_in(self.record)
        self.book = SqliteBundles(self.record.file, count_max=10_000)
        self.pulls = self.metrics.counter("skerry_pulls", "Pulls.", {"how": ("hit", "miss")})
        self.bundling = Bundling(
            node="rock",
            sign=self.key.sign,
            book=self.book,
            incidents=self.record,
            counts=CountsFile(self.folder / "counters.kept"),
            metrics=self.metrics,
            clock=self.clock,
            every_seconds=EVERY,
        )

    def delivery(self, destination: Destination) -> Delivery:
        return Delivery(
            destination,
            book=self.book,
            name=lambda sequence: file_name(self.public, sequence),
            clock=self.clock,
            events=self.events,
            chance=Random(1),
        )

    async def pass_by(self, seconds: float, *, pulls: int = 0, step: float = 60.0) -> None:
        """Time goes by; so many pulls with each step."""
        passed = 0.0
        while passed < seconds:
            passed += step
            self.clock.advance(step)
            self.pulls.add(pulls, "hit")
            await self.bundling.beat()

    async def written(self) -> None:
        """Behind every event so far."""
        await self.record.beat(Beat(self.clock.now(), ended=False))

    def lines(self) -> list[bytes]:
        return self.book.lines(0, count_max=10_000)

    def good(self, lines: list[bytes]) -> bool:
        return not verify(lines, public_key=self.public, check=check_signature)


@asynccontextmanager
async def transport() -> AsyncIterator[HttpTransport]:
    """The node's own way out."""
    nursery = Nursery(on_crash=lambda name, error: None)
    made = HttpTransport(
        resolver=NameResolver(clock=SystemClock(), nursery=nursery), nursery=nursery
    )
    yield made
    await made.close()
    await nursery.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def begun(folder: Path, clock: ManualClock) -> Life:
    life = Life(folder, clock)
    await life.bundling.open()
    return life


async def test_an_event_that_comes_while_a_bundle_is_cut_is_in_one_of_the_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await begun(tmp_path, ManualClock())
    book, asked = SqliteBundles(life.record.file, count_max=10), 0

    def comes() -> None:
        nonlocal asked
        asked += 1
        with sqlite3.connect(tmp_path / "telemetry.sqlite") as file:
            file.execute(
                "INSERT INTO event (at, kind, subject, cause, next_step, level) "
                "VALUES (1, ?, '', '', '', 'info')",
                (f"came.{asked}",),
            )

    def after(number: int, *, count_max: int) -> tuple[list[Event], int]:
        found = book.events_after(number, count_max=count_max)
        comes()
        return found

    def newest() -> int:
        found = book.newest_event()
        comes()
        return found

    monkeypatch.setattr(life.book, "events_after", after)
    monkeypatch.setattr(life.book, "newest_event", newest)
    bundles = [await life.bundling.cut() for _ in range(3)]
    told = [each["kind"] for bundle in bundles for each in bundle.contents.events]
    assert asked == 6
    assert told == [f"came.{number}" for number in range(1, 6)], "the last is for the next one"
    assert not any(bundle.contents.left_out_count for bundle in bundles)


async def test_a_bundle_holds_what_was_counted_and_what_happened_in_its_time(
    tmp_path: Path,
) -> None:
    life = await begun(tmp_path, ManualClock())
    life.events.emit("tag.moved", "image", cause="because", next_step="look")
    await life.written()
    await life.pass_by(EVERY, pulls=2)
    await life.pass_by(EVERY, pulls=1)
    first, second = map(read, life.lines())
    name = 'skerry_pulls_total{how="hit"}'
    assert first.contents.counters == {name: 30}
    assert second.contents.counters == {name: 15}
    assert [each["kind"] for each in first.contents.events] == ["tag.moved"]
    assert not second.contents.events
    assert first.contents.ended_at_milliseconds == second.contents.began_at_milliseconds
    await life.record.close()


async def test_six_hours_offline_are_sent_afterwards_verified_and_without_a_gap(
    tmp_path: Path,
) -> None:
    """Requirement S5, by a clock that goes fast: two kills of the node in between."""
    clock, taken, up = ManualClock(), dict[str, bytes](), False

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> Reply:
        if not up:
            return Reply(503)
        name = asked.path.rpartition("/")[2]
        assert taken.setdefault(name, asked.body) == asked.body, "the same name, the same bytes"
        return Reply(200)

    server = TinyServer(answer)
    await server.start()
    counted = 0
    life = await begun(tmp_path, clock)
    for _ in range(3):
        await life.pass_by(2 * HOUR + 100, pulls=3)
        counted += int(life.pulls.total())
        life = await begun(tmp_path, clock)  # the one before had no time to say goodbye
    await life.pass_by(EVERY)
    assert len(life.lines()) >= 24
    assert life.good(life.lines())
    assert life.book.count(Place.SENT) == len(life.lines())

    sent = Server(f"{server.url}/evidence", "PUT", DIAL, lambda: "")
    async with transport() as out:
        delivery = life.delivery(ToServer(sent, out))
        nursery = Nursery(on_crash=lambda name, error: None)
        nursery.start(delivery.run(), name="put")
        await until(lambda: bool(life.events.recent("bundles.waiting")))
        up = True
        while life.book.count(Place.SENT):
            clock.advance(300)
            await asyncio.sleep(0)
        await nursery.close()
    assert [each.kind for each in life.events.recent()] == ["bundles.waiting", "bundles.sent"]
    lines = [taken[name].rstrip(b"\n") for name in sorted(taken)]
    assert lines == life.lines()
    assert life.good(lines)
    assert sum(sum(read(line).contents.counters.values()) for line in lines) == counted
    await server.close()
    await life.record.close()


async def test_what_was_sent_and_not_noted_is_sent_again_under_the_same_name(
    tmp_path: Path,
) -> None:
    life = await begun(tmp_path, ManualClock())
    await life.pass_by(3 * EVERY)
    folder = tmp_path / "out"
    folder.mkdir()
    for _ in range(2):
        await life.delivery(ToFolder(folder))._put_all()
        assert len(list(folder.iterdir())) == 3
        for sequence in range(1, 4):
            await life.record.file.write(
                lambda db, n=sequence: db.execute("UPDATE bundle SET filed = 0 WHERE sequence = ?",
                                                  (n,))
            )  # fmt: skip
    found = [path.read_bytes().rstrip(b"\n") for path in sorted(folder.iterdir())]
    assert life.good(found)
    await life.record.close()


async def test_openssl_alone_finds_a_bundle_good_and_an_edited_one_bad(tmp_path: Path) -> None:
    life = await begun(tmp_path, ManualClock())
    await life.pass_by(EVERY, pulls=5)
    [line] = life.lines()
    key = tmp_path / "public.pem"
    key.write_text(life.key.public_pem)

    def openssl(bundle: dict[str, object]) -> bool:
        fields = dict(bundle)
        (tmp_path / "signature").write_bytes(b64decode(str(fields.pop("signature"))))
        told = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        (tmp_path / "message").write_bytes(b"skerry-telemetry-bundle/1\n" + told.encode())
        argv = [need("openssl"), "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(key)]
        argv += ["-sigfile", str(tmp_path / "signature"), "-in", str(tmp_path / "message")]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    bundle = json.loads(line)
    assert openssl(bundle)
    bundle["counters"]['skerry_pulls_total{how="hit"}'] += 1
    assert not openssl(bundle)
    await life.record.close()


async def test_a_clock_that_was_set_back_puts_no_bundle_off(tmp_path: Path) -> None:
    clock = ManualClock()
    life = await begun(tmp_path, clock)
    await life.pass_by(EVERY)
    clock.step(-10 * 365 * 86400)
    await life.pass_by(2 * EVERY, pulls=1)
    assert len(life.lines()) == 3
    assert life.good(life.lines())
    assert BEAT_SECONDS == 1.0
    await life.record.close()


async def test_lives_that_are_shorter_than_a_period_put_no_bundle_off(tmp_path: Path) -> None:
    """A node that is killed again and again goes on telling what it did."""
    clock = ManualClock()
    life = await begun(tmp_path, clock)
    await life.pass_by(EVERY, pulls=1)
    for _ in range(6):
        life = await begun(tmp_path, clock)
        await life.pass_by(EVERY / 3, pulls=1)
    assert len(life.lines()) == 3
    assert life.good(life.lines())
    counted = sum(sum(read(line).contents.counters.values()) for line in life.lines())
    assert counted == 3 * EVERY / 60
    await life.record.close()


async def test_a_node_that_never_lived_a_whole_period_makes_its_first_bundle(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    for _ in range(4):
        life = await begun(tmp_path, clock)
        life.events.emit("node.lost", "rock")
        await life.written()
        await life.pass_by(EVERY / 3, pulls=1)
    [line] = life.lines()
    assert read(line).contents.began_at_milliseconds == 1_700_000_000_000
    await life.record.close()


def test_counts_survive_a_write_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "counters.kept"
    CountsFile(path).write(4, {"a": 1})
    kept = CountsFile(path)
    assert kept.read() == (4, {"a": 1})
    kept.write(4, {"a": 2})
    assert CountsFile(path).read() == (4, {"a": 2})
    with path.open("r+b") as file:  # the last write reached the disk in part
        file.seek(0 if _newest(path) == 0 else PLACE_BYTES)
        file.write(b"0000ffff")
    assert CountsFile(path).read() == (4, {"a": 1})


@pytest.mark.parametrize("content", [b"", b"garbage" * 10, bytes(3 * PLACE_BYTES)])
def test_a_file_of_counts_that_is_none_is_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "counters.kept"
    path.write_bytes(content)
    assert CountsFile(path).read() == (0, {})


def test_turns_go_round_and_the_newest_is_still_known(tmp_path: Path) -> None:
    path = tmp_path / "counters.kept"
    kept = CountsFile(path)
    for number in range(600):
        kept.write(1, {"a": number})
        assert CountsFile(path).read() == (1, {"a": number})


def _newest(path: Path) -> int:
    data = path.read_bytes()
    return 0 if b'"a":2' in data[:PLACE_BYTES] else 1


async def test_a_folder_of_others_leads_no_bundle_elsewhere(tmp_path: Path) -> None:
    folder, victim = tmp_path / "shared", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("as it was")
    (folder / ".one.json.new").symlink_to(victim)
    with pytest.raises(NotPut):
        await ToFolder(folder).put("one.json", b"{}")
    assert victim.read_text() == "as it was"
    await ToFolder(folder).put("two.json", b"{}")
    assert (folder / "two.json").read_text() == "{}\n"
