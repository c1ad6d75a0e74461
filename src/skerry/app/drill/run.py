"""`skerry drill`: cut a throw-away region off in five ways and watch what goes on working.

Owns the order of the scenes. Needs no network and no other program; touches nothing outside its
folder and loopback.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from skerry.app.drill import checks, images, trust
from skerry.app.drill.client import PushFailed, RegistryClient
from skerry.app.drill.images import Image
from skerry.app.drill.processes import NotReady, comes_true
from skerry.app.drill.recovery import ROLLED_BACK, Timed, incidents_of
from skerry.app.drill.report import Measured, Promise, as_json, table
from skerry.app.drill.stage import HOST, MEMBERS, SIGNED, Stage
from skerry.app.drill.wan import DRIP, HANG, REFUSE, rate, status_answer
from skerry.app.telemetry.drills_file import DrillsFile
from skerry.base.units import format_seconds

PUSHED = "drill/tide"
REPOSITORY = f"{HOST}/{PUSHED}"
GUARDED = f"{HOST}/{SIGNED}"
TAG, MOVING = "1.0", "moving"
LAYER_BYTES = 300_000
SLOW_BYTES_PER_SECOND = 100_000
MOVED_LAYER_BYTES = 3_000_000

CACHED_SECONDS = 1.0
ANSWER_SECONDS = 11.0
BREAKER_SECONDS = 1.0
RESTART_SECONDS = 5.0
ROLLBACK_SECONDS = 10.0
HEAL_SECONDS = 45.0
"""The longest cooldown of a breaker and a whole pull of the moved image."""
NEVER_SEEN_TRIES = 4
NOTICED_SECONDS = 10.0
LOOK_SECONDS = 0.1
LOST_SAMPLE = b'\nskerry_incidents_open{lost="upstream"} 1\n'

CUTS: tuple[tuple[str, Callable[[Stage], None]], ...] = (
    ("refused", lambda stage: stage.switch(REFUSE)),
    ("silent", lambda stage: stage.switch(HANG)),
    ("1 byte/s", lambda stage: stage.switch(DRIP)),
    ("answers 503", lambda stage: stage.switch(status_answer(503, "Service Unavailable"))),
    ("name gone", lambda stage: stage.forget_name()),
)


@dataclass(frozen=True, slots=True)
class Cargo:
    """What is pushed to the region."""

    image: Image
    signature: Image
    moved: Image
    signed: Image
    tampered: Image
    unsigned: Image


def run(
    *, data_dir: Path | None, keep: bool, json_output: bool, record: DrillsFile | None = None
) -> int:
    """Runs the whole drill. Returns 0 when every promise was kept, else 1.

    `record` is where a node looks for what its drills found out.

    `data_dir` is where both nodes live, None for a new temporary folder; it is emptied of what
    the drill put there unless `keep`. Raises BadInput when something of the sort is there already.
    """
    console = Console(stderr=json_output)
    started = time.perf_counter()
    course: list[Timed] = []
    try:
        with (
            _ended_politely(),
            Stage(data_dir, keep=keep) as stage,
            console.status("starting a region") as status,
        ):
            for promise in _scenes(stage, _load_cargo()):
                course.append(Timed(time.time(), promise))
                status.update(f"{promise.scene}: {promise.text}")
            if keep:
                console.print(f"kept in {stage.folder}", soft_wrap=True, highlight=False)
    except (NotReady, PushFailed) as error:
        failed = Promise("start", str(error), 0, (Measured("start", 0, str(error)),))
        course.append(Timed(time.time(), failed))
    spent = time.perf_counter() - started
    promises = [each.promise for each in course]
    _show(console, promises, spent, json_output=json_output)
    if record is not None:
        _record(console, record, course)
    return 0 if all(promise.kept for promise in promises) else 1


def _record(console: Console, record: DrillsFile, course: list[Timed]) -> None:
    """For `skerry incidents`; that it cannot be written breaks no promise."""
    try:
        record.add(incidents_of(course, [name for name, _ in CUTS]))
    except OSError as error:
        console.print(f"not on record for the node: {error}", style="yellow", markup=False)


@contextmanager
def _ended_politely() -> Iterator[None]:
    """SIGTERM ends both nodes too, as Ctrl-C does."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(console: Console, promises: list[Promise], spent: float, *, json_output: bool) -> None:
    if json_output:
        Console(soft_wrap=True, highlight=False, markup=False).print(
            as_json(promises, seconds=spent)
        )
        return
    console.print(table(promises))
    console.print(
        "whole: manifests, config and layers byte for byte, HEAD, Range, tag list, referrers, and "
        "a stale answer says so",
        style="dim",
    )
    broken = [promise for promise in promises if not promise.kept]
    for promise in broken:
        for fault in promise.faults[:5]:
            console.print(f"{promise.scene}: {fault}", style="red", markup=False)
    verdict = f"{len(broken)} promises BROKEN" if broken else "every promise was kept"
    console.print(f"{verdict}, in {format_seconds(spent)}")


def _load_cargo() -> Cargo:
    def build(seed: int, architecture: str, layer_bytes: int) -> Image:
        layers = [
            {"etc/tide": f"{seed}".encode()},
            {"data/noise": images.noise(seed, layer_bytes)},
        ]
        return images.image(layers, architecture=architecture)

    image = images.index([build(1, "amd64", LAYER_BYTES), build(2, "arm64", LAYER_BYTES)])
    signature = images.artifact(image, "application/vnd.skerry.drill", b"signed at high tide")
    moved = images.index([build(3, "amd64", MOVED_LAYER_BYTES)])
    signed, tampered, unsigned = (build(seed, "amd64", LAYER_BYTES) for seed in (4, 5, 6))
    return Cargo(image, signature, moved, signed, tampered, unsigned)


def _scenes(stage: Stage, cargo: Cargo) -> Iterator[Promise]:
    pusher = stage.pusher
    images.push(pusher, PUSHED, cargo.image, TAG)
    images.push(pusher, PUSHED, cargo.image, MOVING)
    images.push(pusher, PUSHED, cargo.signature)
    warmed = [
        measured
        for tag in (TAG, MOVING)
        for measured in checks.warm(stage.client, REPOSITORY, tag, cargo.image)
    ]
    yield Promise("up", "an image is pulled through the node", ANSWER_SECONDS, tuple(warmed))
    _push_signed(stage, cargo)
    yield _open_to_the_signed(stage, cargo, "up", ANSWER_SECONDS)
    yield _closed_to_others(stage, cargo, "up")
    images.push(pusher, MEMBERS, cargo.image, TAG)
    yield _members(stage, cargo, "up", ANSWER_SECONDS)
    stage.settle()
    yield _move_then_cut(stage, cargo)
    for number, (scene, cut) in enumerate(CUTS):
        if number:
            stage.heal()
            stage.node.restart()  # with a closed breaker, as before an outage
            checks.never_seen(stage.client, REPOSITORY, "absent", HOST)
        cut(stage)
        yield from _cut_off(stage, cargo, scene, number)
        if not number:
            yield _noticed(stage, scene)
    stage.heal()
    yield _heals(stage, cargo)
    stage.switch(REFUSE)
    yield _rolls_back(stage, cargo)


def _move_then_cut(stage: Stage, cargo: Cargo) -> Promise:
    """The tag moves; the link dies while the new image is on its way."""
    images.push(stage.pusher, PUSHED, cargo.moved, MOVING)
    stage.switch(rate(SLOW_BYTES_PER_SECOND))
    before = stage.down_bytes
    deadline = time.monotonic() + ANSWER_SECONDS
    answers = []
    while stage.down_bytes - before < SLOW_BYTES_PER_SECOND // 2 and time.monotonic() < deadline:
        got = stage.client.manifest(REPOSITORY, MOVING)
        answers.append(Measured("tag", got.seconds, "" if got.status == 200 else got.text()))
        time.sleep(0.1)
    stage.switch(REFUSE)
    return Promise("dying", "a tag answers while it moves slowly", CACHED_SECONDS,
                   tuple(answers))  # fmt: skip


def _cut_off(stage: Stage, cargo: Cargo, scene: str, number: int) -> Iterator[Promise]:
    def pulls(when: str) -> Promise:
        text = f"whole by tag and digest, lists{when}"
        return Promise(scene, text, CACHED_SECONDS, _everything(stage.client, cargo))

    yield pulls("")
    tries = _misses(stage.client, f"{number}")
    stage.node.restart()
    ready = Measured("restart", stage.node.ready_seconds)
    yield Promise(scene, "killed -9, starts cold, still cut off", RESTART_SECONDS, (ready,))
    yield pulls(", again")
    yield _members(stage, cargo, scene, CACHED_SECONDS)
    yield _open_to_the_signed(stage, cargo, scene, CACHED_SECONDS)
    yield _closed_to_others(stage, cargo, scene)
    tries_again = _misses(stage.client, f"{number}-restarted")
    text = "a name never seen: a clear 503"
    yield Promise(scene, text, ANSWER_SECONDS, (*tries[:-1], *tries_again[:-1]))
    text = "and at once when the node knows"
    yield Promise(scene, text, BREAKER_SECONDS, (tries[-1], tries_again[-1]))


def _noticed(stage: Stage, scene: str) -> Promise:
    """The node has it on record: alarms, alerts and `skerry incidents` stand on that."""
    started, admin = time.perf_counter(), RegistryClient(stage.node.admin)
    said = comes_true(
        lambda: LOST_SAMPLE in admin.get("/metrics").body,
        seconds_max=NOTICED_SECONDS,
        every_seconds=LOOK_SECONDS,
    )
    fault = "" if said else "the node does not say that the region is gone"
    spent = time.perf_counter() - started
    measured = (Measured("incident", spent, fault),)
    return Promise(scene, "the node says what is lost", NOTICED_SECONDS, measured)


def _push_signed(stage: Stage, cargo: Cargo) -> None:
    """One image that both owners signed, one that has the first one's signatures, one that has
    one owner's, and none of the other's."""
    whole = trust.signature(cargo.signed.digest, GUARDED, stage.owners)
    half = trust.signature(cargo.unsigned.digest, GUARDED, stage.owners[:1])
    for image, tag, signature in (
        (cargo.signed, "signed", whole),
        (cargo.tampered, "tampered", whole),
        (cargo.unsigned, "unsigned", half),
    ):
        images.push(stage.pusher, SIGNED, image, tag)
        images.push(stage.pusher, SIGNED, signature, trust.tag_of(image.digest))


def _open_to_the_signed(stage: Stage, cargo: Cargo, scene: str, bound_seconds: float) -> Promise:
    text = "two owners signed it: served"
    found = tuple(checks.signed(stage.client, GUARDED, "signed", cargo.signed))
    return Promise(scene, text, bound_seconds, found)


def _closed_to_others(stage: Stage, cargo: Cargo, scene: str) -> Promise:
    found = (
        *checks.held_back(stage.client, GUARDED, "tampered", cargo.tampered),
        *checks.held_back(stage.client, GUARDED, "unsigned", cargo.unsigned),
    )
    return Promise(scene, "tampered or half signed: never", ANSWER_SECONDS, found)


def _members(stage: Stage, cargo: Cargo, scene: str, seconds_max: float) -> Promise:
    """What only somebody may pull who is known, and gets a token from the node itself."""
    named = f"{HOST}/{MEMBERS}"
    pulled = checks.members(stage.client, stage.somebody, named, TAG, cargo.image)
    text = "with a token of the node's own, not without"
    return Promise(scene, text, seconds_max, tuple(pulled))


def _everything(client: RegistryClient, cargo: Cargo) -> tuple[Measured, ...]:
    return (
        *checks.pulls(client, REPOSITORY, TAG, cargo.image, 1),
        *checks.pulls(client, REPOSITORY, MOVING, cargo.image, 1),
    )


def _misses(client: RegistryClient, name: str) -> tuple[Measured, ...]:
    """Asks for names nobody has pulled, often enough that the breaker opens."""
    unknown = f"{HOST}/drill/unknown"
    return tuple(
        checks.never_seen(client, unknown, f"{name}-{number}", HOST)
        for number in range(NEVER_SEEN_TRIES)
    )


def _rolls_back(stage: Stage, cargo: Cargo) -> Promise:
    """The release is a bad one and the region is gone: the image before is pulled by digest."""
    client, child = stage.client, cargo.image.children[0]
    pieces = (cargo.image.manifest, child.manifest)
    measured = [checks.by_digest(client, REPOSITORY, piece) for piece in pieces]
    measured += [checks.blob(client, REPOSITORY, piece) for piece in child.blobs]
    text = "the image before the tag moved, whole, cut off"
    return Promise(ROLLED_BACK, text, ROLLBACK_SECONDS, tuple(measured))


def _heals(stage: Stage, cargo: Cargo) -> Promise:
    """The link is back: the moved tag is picked up without anybody's help."""
    started = time.perf_counter()

    def moved() -> bool:
        got = stage.client.manifest(REPOSITORY, MOVING)
        return got.status == 200 and got.body == cargo.moved.manifest.data

    healed = comes_true(moved, seconds_max=HEAL_SECONDS, every_seconds=LOOK_SECONDS)
    fault = "" if healed else "the tag still means the old image"
    spent = time.perf_counter() - started
    layer = cargo.moved.children[0].blobs[-1]
    got = stage.client.blob(REPOSITORY, layer.digest)
    whole = "" if got.body == layer.data else f"{got.status} {got.trouble}"
    return Promise(
        "healed",
        "the tag that moved is picked up, whole",
        HEAL_SECONDS,
        (Measured("moved tag", spent, fault), Measured("its layer", got.seconds, whole)),
    )
