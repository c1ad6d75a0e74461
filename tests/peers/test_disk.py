"""A real node on a disk that is small, full, broken or read-only (known failures T36, T37).

What is held is served whatever the disk does; what is not passes through, right to the last byte.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from skerry.app.drill import wan as link
from skerry.app.drill.images import LAYER_TYPE, Image, Piece, noise
from tests.rig import images, nodes
from tests.rig.desk import NAME, Desk, blob_file, blob_files, open_desk
from tests.rig.disks import FragileDisk, SmallDisk
from tests.rig.nodes import HOST
from tests.rig.processes import Rig

MIB = 1 << 20


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    """Mounts end after the node that uses them: ask for this fixture before the rig."""
    with ExitStack() as stack:
        yield stack


def layer(seed: int, size_bytes: int) -> Piece:
    return Piece.of(LAYER_TYPE, noise(seed, size_bytes))


def image(seed: int, *layers: Piece) -> Image:
    """A config of its own and these layers."""
    return images.with_layers(images.small(seed), layers)


def pulled(desk: Desk, what: Image, tag: str) -> bool:
    """Whether every byte of an image came, by tag, and was right."""
    got = desk.client.manifest(NAME, tag)
    if (got.status, got.body) != (200, what.manifest.data):
        return False
    found = [desk.client.blob(NAME, blob.digest) for blob in what.blobs]
    return [(f.status, f.body) for f in found] == [(200, blob.data) for blob in what.blobs]


def accounted(desk: Desk) -> bool:
    """Whether the node's count is what lies on the disk, and nothing half lies about."""
    store = desk.done("status")["store"]
    files = blob_files(desk.node)
    ingest = list((desk.node.folder / "data/ingest").iterdir())
    counted = (store["blob_count"], store["blob_bytes"], store["spool_count"])
    return counted == (len(files), sum(f.stat().st_size for f in files), 0) and not ingest


def every_file_is_what_its_name_says(desk: Desk) -> None:
    for file in blob_files(desk.node):
        with file.open("rb") as opened:
            assert hashlib.file_digest(opened, file.parent.parent.name).hexdigest() == file.name


# full


def test_on_a_full_disk_what_is_held_is_served_and_misses_stream_through(
    ends: ExitStack, rig: Rig
) -> None:
    desk = open_desk(rig, window="1ms", start=False)
    disk = SmallDisk(desk.node.folder / "data", "24m", ends)
    desk.node.start()
    held = image(200, layer(201, 4 * MIB))
    desk.done("warm", desk.push(held, "held"))
    desk.done("pin", f"{NAME}:held")
    disk.fill()
    before = sorted(blob_files(desk.node))

    missed = [image(210 + n, layer(220 + n, 3 * MIB)) for n in range(4)]
    for number, one in enumerate(missed):
        desk.push(one, f"missed-{number}")
    with ThreadPoolExecutor(8) as clients:
        jobs = [
            clients.submit(pulled, desk, one, f"missed-{number}")
            for number, one in enumerate(missed)
            for _ in range(2)
        ]
        jobs += [clients.submit(pulled, desk, held, "held") for _ in range(4)]
        assert all(job.result() for job in jobs)
    assert sorted(blob_files(desk.node)) == before, "nothing was kept, nothing was lost"
    status = desk.done("status")
    assert status["store"]["writable"] is False
    assert any("no writes" in text for text in status["warnings"])

    desk.cut()
    assert pulled(desk, held, "held")
    desk.node.restart()  # a cold start with no byte to spare
    assert pulled(desk, held, "held")
    assert desk.client.manifest(NAME, "missed-0").status == 503

    disk.free()
    rig.run(desk.wan.switch(link.PASS))
    desk.node.child.wait_until(lambda: pulled(desk, missed[0], "missed-0"))
    desk.node.child.wait_until(lambda: blob_file(desk.node, missed[0].blobs[1].digest).exists())
    desk.node.wait_until_stored()
    assert desk.done("status")["store"]["writable"] is True
    desk.cut()
    assert pulled(desk, missed[0], "missed-0"), "space came back, and nobody had to help"
    assert pulled(desk, held, "held")


def test_a_disk_that_fills_up_in_the_middle_of_a_pull_breaks_nothing(
    ends: ExitStack, rig: Rig
) -> None:
    desk = open_desk(rig, start=False)
    disk = SmallDisk(desk.node.folder / "data", "24m", ends)
    desk.node.start()
    held, large = image(230, layer(231, 2 * MIB)), image(232, layer(233, 6 * MIB))
    desk.done("warm", desk.push(held, "held"))
    desk.push(large, "large")
    assert desk.client.manifest(NAME, "large").status == 200
    rig.run(desk.wan.switch(link.rate(8 * MIB)))
    with ThreadPoolExecutor(1) as clients:
        blob = large.blobs[1]
        job = clients.submit(desk.client.blob, NAME, blob.digest)
        ingest = desk.node.folder / "data/ingest"
        desk.node.child.wait_until(lambda: any(f.stat().st_size > MIB for f in ingest.iterdir()))
        disk.fill()
        got = job.result()
    assert got.body == blob.data or not got.whole, "all of it, or visibly not"
    rig.run(desk.wan.switch(link.PASS))
    assert pulled(desk, large, "large"), "the next try streams through"
    assert pulled(desk, held, "held")
    assert not blob_file(desk.node, blob.digest).exists()
    every_file_is_what_its_name_says(desk)
    disk.free()
    desk.node.child.wait_until(lambda: accounted(desk))


# the budget


def test_whole_images_go_least_recently_used_first_and_shared_layers_count_once(rig: Rig) -> None:
    desk = open_desk(rig, store={"budget": "10MiB"})
    base = layer(240, MIB)
    unique = {name: layer(241 + n, 2 * MIB) for n, name in enumerate("abcde")}
    shelf = {name: image(250 + n, base, unique[name]) for n, name in enumerate("abcde")}
    for name, one in shelf.items():
        desk.push(one, name)
    for name in "abcd":  # 1 + 4 * 2 MiB, and a little
        desk.done("warm", f"{NAME}:{name}")
    assert 9 * MIB < desk.done("status")["store"]["blob_bytes"] < 9.5 * MIB
    assert pulled(desk, shelf["a"], "a")
    desk.done("pin", f"{NAME}:b")

    desk.done("warm", f"{NAME}:e")
    assert desk.names() == {f"{NAME}:{name}" for name in "abe"}
    assert desk.names("--missing") == set()
    here = {name for name, blob in unique.items() if blob_file(desk.node, blob.digest).exists()}
    assert here == set("abe")
    assert accounted(desk)
    assert sum(file.stat().st_size for file in blob_files(desk.node)) <= 8.5 * MIB
    desk.cut()
    for name in "abe":
        assert pulled(desk, shelf[name], name), "the shared layer is still there"
    for name in "cd":
        assert desk.client.manifest(NAME, name).status == 503
    assert desk.done("events", "--since", "1h")["events"]


def test_what_cannot_be_had_again_now_goes_last(rig: Rig) -> None:
    desk = open_desk(rig, start=False)
    dead = rig.wan(desk.origin.server.authority)
    sources = [
        {"name": HOST, "source": [nodes.source(f"http://127.0.0.1:{desk.wan.port}")]},
        {"name": "lost.test", "source": [nodes.source(f"http://127.0.0.1:{dead.port}")]},
    ]
    settings = {**nodes.settings(""), "upstream": sources, "store": {"budget": "10MiB"}}
    desk.node = rig.node(settings, name="two-upstreams")
    shelf = {name: image(260 + n, layer(270 + n, 3 * MIB)) for n, name in enumerate("abcd")}
    for name, one in shelf.items():
        desk.push(one, name)
    oldest = f"lost.test/team/app:{'a'}"
    desk.done("warm", oldest)
    for name in "bc":
        desk.done("warm", f"{NAME}:{name}")
    rig.run(dead.switch(link.REFUSE))
    for number in range(3):  # until its breaker says that it is gone
        desk.client.manifest("lost.test/team/app", f"none-{number}")
    desk.done("warm", f"{NAME}:d")
    assert oldest in desk.names(), "the oldest, and the only one that nobody could bring back"
    assert f"{NAME}:d" in desk.names()
    assert f"{NAME}:b" not in desk.names()
    assert accounted(desk)


def test_more_than_the_budget_streams_through_and_pins_stay(rig: Rig) -> None:
    desk = open_desk(rig, store={"budget": "8MiB"})
    kept = image(280, layer(281, 5 * MIB))
    desk.done("warm", desk.push(kept, "kept"))
    desk.done("pin", f"{NAME}:kept")
    other = image(282, layer(283, 3 * MIB + 512 * 1024))
    name = desk.push(other, "other")
    for _ in range(2):
        assert pulled(desk, other, "other")
    refused = desk.skerry("warm", name)
    assert refused.code == 1
    assert "no room" in refused.err
    assert "unpin" in refused.err
    assert pulled(desk, kept, "kept")
    assert sum(file.stat().st_size for file in blob_files(desk.node)) <= 8 * MIB
    assert name in desk.names("--missing"), "half an image is called half"


# accounting


def test_the_count_is_right_after_kills_in_the_middle_of_fills(rig: Rig) -> None:
    desk = open_desk(rig)
    shelf = {f"k{n}": image(300 + n, layer(310 + n, 2 * MIB)) for n in range(6)}
    for tag, one in shelf.items():
        desk.push(one, tag)
    desk.done("warm", f"{NAME}:k0")
    ingest = desk.node.folder / "data/ingest"
    for start in (1, 3):
        rig.run(desk.wan.switch(link.rate(2 * MIB)))
        with ThreadPoolExecutor(2) as clients:
            for number in (start, start + 1):
                clients.submit(pulled, desk, shelf[f"k{number}"], f"k{number}")
            desk.node.child.wait_until(
                lambda: sum(f.stat().st_size for f in ingest.iterdir()) > MIB
            )
            desk.node.kill()
        rig.run(desk.wan.switch(link.PASS))
        desk.node.start()
        assert desk.node.ready_seconds < 5
        assert list(ingest.iterdir()) == [], "what was half is swept"
        desk.node.child.wait_until(lambda: accounted(desk))
        every_file_is_what_its_name_says(desk)
        assert pulled(desk, shelf["k0"], "k0")
    for tag, one in shelf.items():
        assert pulled(desk, one, tag)
    desk.node.wait_until_stored()
    desk.node.child.wait_until(lambda: accounted(desk))


# read-only


def test_a_read_only_disk_serves_what_it_holds_from_a_cold_start_on(
    ends: ExitStack, rig: Rig
) -> None:
    desk = open_desk(rig, window="1ms", start=False)
    disk = SmallDisk(desk.node.folder / "data", "24m", ends)
    desk.node.start()
    held, other = image(330, layer(331, 2 * MIB)), image(332, layer(333, 2 * MIB))
    desk.done("warm", desk.push(held, "held"))
    desk.push(other, "other")
    desk.node.kill()
    disk.remount("ro")
    desk.node.start()

    serves_but_keeps_nothing(desk, held, other)
    rig.run(desk.wan.switch(link.PASS))
    disk.remount("rw")
    assert_recovers(desk, other)


def test_a_disk_that_fails_under_a_running_node_takes_nothing_from_its_clients(
    ends: ExitStack, rig: Rig
) -> None:
    desk = open_desk(rig, window="1ms", start=False)
    disk = FragileDisk(desk.node.folder / "data", 48, ends)
    desk.node.start()
    held, other = image(340, layer(341, 2 * MIB)), image(342, layer(343, 2 * MIB))
    desk.done("warm", desk.push(held, "held"))
    desk.push(other, "other")
    disk.break_down()
    with pytest.raises(OSError, match="Read-only"):
        (desk.node.folder / "data/probe").touch()
    serves_but_keeps_nothing(desk, held, other)
    desk.node.restart()
    assert pulled(desk, held, "held")


def serves_but_keeps_nothing(desk: Desk, held: Image, other: Image) -> None:
    before = sorted(blob_files(desk.node))
    for _ in range(2):  # the second time the tag's window is over and a check is behind it
        assert pulled(desk, held, "held")
        assert pulled(desk, other, "other")
    moved = image(350, layer(351, MIB))
    desk.push(moved, "held")
    for _ in range(3):
        got = desk.client.manifest(NAME, "held")
        meant = {str(one.digest): one for one in (held, moved)}
        said = meant[got.headers.get("Docker-Content-Digest") or ""]
        assert got.body == said.manifest.data
        for blob in said.blobs:
            assert desk.client.blob(NAME, blob.digest).body == blob.data
    assert desk.done("status")["store"]["writable"] is False
    desk.cut()
    for _ in range(3):
        assert pulled(desk, held, "held"), "moved or not: what is whole here is served"
    assert desk.client.manifest(NAME, "none").status == 503
    assert sorted(blob_files(desk.node)) == before


def assert_recovers(desk: Desk, other: Image) -> None:
    node, blob = desk.node, other.blobs[1]
    node.child.wait_until(lambda: pulled(desk, other, "other"))
    node.child.wait_until(lambda: stored(desk, other))
    desk.done("warm", f"{NAME}:other")
    assert desk.done("status")["store"]["writable"] is True
    node.restart()
    desk.cut()
    assert pulled(desk, other, "other")
    assert os.access(blob_file(node, blob.digest), os.R_OK)


def stored(desk: Desk, what: Image) -> bool:
    pulled(desk, what, "other")
    return blob_file(desk.node, what.blobs[1].digest).exists()
