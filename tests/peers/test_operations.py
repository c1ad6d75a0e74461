"""The command line against a live node, as an operator uses it: what is here and what shall be.

The node's upstream is a real registry behind a recording proxy and a link that can be cut.
"""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator

import pytest

from skerry.app.admin.access import read_token
from skerry.app.drill import wan as link
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import SKERRY, free_port
from tests.rig import images
from tests.rig.desk import NAME, Desk, blob_file, lengths, open_desk
from tests.rig.nodes import HOST
from tests.rig.processes import Rig

AMD64, ARM64 = "linux/amd64", "linux/arm64"


@pytest.fixture(scope="module")
def made(shared: Rig) -> Desk:
    return open_desk(shared)


@pytest.fixture
def desk(made: Desk) -> Iterator[Desk]:
    """The module's desk, its link whole and nothing counted yet."""
    made.origin.log.clear()
    yield made
    made.heal()


# warm


def test_warm_fetches_one_platform_then_another_and_never_the_same_twice(desk: Desk) -> None:
    image = images.multi_arch(100)
    name = desk.push(image, "warm")
    amd64, arm64 = image.children
    desk.origin.log.clear()

    report = desk.done("warm", name, "--platform", AMD64)
    assert report["fetched_bytes"] == lengths(*amd64.blobs)
    (one,) = report["images"]
    assert (one["image"], one["ok"], one["digest"]) == (name, True, str(image.digest))
    assert one["planned_bytes"] == one["done_bytes"] == lengths(*amd64.blobs)
    paths = desk.origin.server.log.paths("GET")
    assert not [path for path in paths if path.rpartition("/")[2] == str(arm64.digest)]
    row = desk.row(name)
    assert (row["whole"], row["platforms"], row["missing"]) == (True, [AMD64], [])

    assert desk.done("warm", name, "--platform", AMD64)["fetched_bytes"] == 0
    here = {blob.digest for blob in amd64.blobs}
    rest = [blob for blob in arm64.blobs if blob.digest not in here]
    both = desk.done("warm", name, "--all-platforms")
    assert both["fetched_bytes"] == lengths(*rest)
    assert desk.row(name)["platforms"] == [AMD64, ARM64]
    for blob in image.every_blob():
        assert desk.origin.server.log.count(str(blob.digest), "GET") == 1

    desk.cut()
    desk.serves(image, "warm")
    assert desk.done("warm", name)["fetched_bytes"] == 0, "whole here, though nobody can be asked"


def test_warm_says_so_when_an_image_has_no_such_platform(desk: Desk) -> None:
    name = desk.push(images.multi_arch(102), "platforms")
    said = desk.skerry("warm", name, "--platform", "linux/s390x")
    assert said.code == 1, said
    assert "linux/s390x" in said.err


def test_a_byte_cap_is_refused_before_anything_is_fetched(desk: Desk) -> None:
    image = images.small(104)
    name = desk.push(image, "capped")
    desk.origin.log.clear()
    said = desk.skerry("warm", name, "--bytes-max", "1KiB", "--json")
    assert said.code == 1
    (one,) = said.json()["images"]
    assert (one["ok"], one["done_bytes"]) == (False, 0)
    assert one["what"]
    assert one["next_step"]
    assert desk.origin.server.log.count("/blobs/") == 0
    assert desk.done("warm", name, "--bytes-max", "1MiB")["fetched_bytes"] == lengths(*image.blobs)


def test_one_bad_image_of_many_fails_the_command_and_not_the_others(desk: Desk) -> None:
    good = desk.push(images.small(106), "good")
    said = desk.skerry("warm", f"{NAME}:none", good, "other.test/x:1", "--json")
    assert said.code == 1
    found = {one["image"]: one for one in said.json()["images"]}
    assert [one["ok"] for one in found.values()] == [False, True, False]
    assert all(one["what"] for one in found.values() if not one["ok"])
    assert "other.test" in found["other.test/x:1"]["what"]
    people = desk.skerry("warm", f"{NAME}:none")
    assert (people.code, people.out) == (1, "")
    assert f"{NAME}:none" in people.err


def test_progress_comes_as_lines_of_json_and_only_ever_rises(desk: Desk) -> None:
    image = images.big(8 << 20, seed=108)
    name = desk.push(image, "progress")
    token = read_token(desk.node.folder / "data")
    door = http.client.HTTPConnection(desk.node.admin, timeout=30)
    fields = {"Authorization": f"Bearer {token}"}
    desk.rig.run(desk.wan.switch(link.rate(8 << 20)))
    door.request("POST", "/api/v1/warm", json.dumps({"images": [name]}), fields)
    answer = door.getresponse()
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    events = [json.loads(line) for line in answer]
    door.close()
    steps = [event["step"] for event in events]
    assert (steps[0], steps[-1]) == ("planned", "done")
    assert set(steps[1:-1]) == {"progress"}, "the link was slow enough for some"
    counts = [event["done_bytes"] for event in events]
    assert counts == sorted(counts)
    assert counts[-1] == lengths(*image.blobs)
    assert {event["planned_bytes"] for event in events} == {lengths(*image.blobs)}


def test_warming_without_the_upstream_fails_with_the_reason(desk: Desk) -> None:
    name = desk.push(images.small(110), "unreachable")
    desk.cut()
    said = desk.skerry("warm", name)
    assert said.code == 1
    assert HOST in said.err


# ls


def test_half_an_image_is_listed_as_half_with_what_is_missing(desk: Desk) -> None:
    image = images.small(120)
    name = desk.push(image, "half")
    assert desk.client.manifest(NAME, "half").status == 200
    assert desk.client.blob(NAME, image.blobs[0].digest).status == 200
    desk.node.wait_until_stored()
    row = desk.row(name)
    assert row["whole"] is False
    assert row["missing"] == [
        {
            "digest": str(layer.digest),
            "kind": "layer",
            "size_bytes": len(layer.data),
            "platform": "",
        }
        for layer in image.blobs[1:]
    ]
    assert name in desk.names("--missing")
    told = desk.skerry("ls", "--missing")
    assert told.code == 0
    assert "half: 2 layers (" in told.out
    assert any("half here" in text for text in desk.done("status")["warnings"])
    desk.done("warm", name)
    assert name not in desk.names("--missing")
    row = desk.row(name)
    assert (row["whole"], row["pinned"], row["freshness"]) == (True, False, "fresh")
    assert row["size_bytes"] == lengths(image.manifest, *image.blobs)


# pin, rm, evict


def test_a_pinned_image_is_neither_removed_nor_evicted(desk: Desk) -> None:
    kept, other = images.small(130), images.small(131)
    names = [desk.push(kept, "kept"), desk.push(other, "other")]
    desk.done("warm", *names)
    assert desk.done("pin", names[0]) == {"reference": names[0], "pinned": True, "changed": True}
    assert desk.done("pin", names[0])["changed"] is False
    assert desk.row(names[0])["pinned"] is True

    for command in (("rm", names[0]), ("evict", "--image", names[0])):
        refused = desk.skerry(*command, "--json")
        assert refused.code == 1, refused
        error = refused.json()["error"]
        assert "pinned" in error["what"]
        assert "unpin" in error["next_step"]
    evicted = desk.done("evict", "--bytes", "100GiB")
    assert f"{NAME}@{other.digest}" in evicted["references"]
    assert f"{NAME}@{kept.digest}" not in evicted["references"]
    desk.cut()
    desk.serves(kept, "kept")
    assert desk.client.manifest(NAME, "other").status == 503
    desk.node.restart()
    desk.serves(kept, "kept")
    assert desk.row(names[0])["pinned"] is True
    assert desk.done("unpin", names[0])["changed"] is True
    assert desk.done("unpin", names[0])["changed"] is False


def test_rm_forgets_an_image_and_frees_only_what_no_other_shares(desk: Desk) -> None:
    first = images.small(140)
    second = images.with_layers(first, (first.blobs[1], images.small(141).blobs[2]))
    names = [desk.push(first, "first"), desk.push(second, "second")]
    desk.done("warm", *names)
    assert desk.client.manifest(NAME, "first").status == 200  # the fast way knows it now
    removed = desk.done("rm", names[0])
    assert removed["freed_bytes"] == lengths(first.manifest, first.blobs[2])
    assert removed["digest"] == str(first.digest)
    assert names[0] not in desk.names()
    assert not blob_file(desk.node, first.blobs[2].digest).exists()
    desk.cut()
    assert desk.client.manifest(NAME, "first").status == 503
    assert desk.client.manifest(NAME, first.digest).status == 503
    desk.serves(second, "second")
    gone = desk.skerry("rm", names[0], "--json")
    assert gone.code == 1
    assert "skerry ls" in gone.json()["error"]["next_step"]


def test_rm_of_one_tag_leaves_the_image_under_its_other_tag(desk: Desk) -> None:
    image = images.small(143)
    names = [desk.push(image, "old"), desk.push(image, "new")]
    desk.done("warm", *names)
    assert desk.done("rm", names[0])["freed_bytes"] == 0
    desk.cut()
    desk.serves(image, "new")
    assert desk.client.manifest(NAME, "old").status == 503


def test_evict_drops_the_image_that_is_named(desk: Desk) -> None:
    image = images.small(145)
    name = desk.push(image, "named")
    desk.done("warm", name)
    done = desk.done("evict", "--image", name)
    assert done["freed_bytes"] == lengths(image.manifest, *image.blobs)
    assert name not in desk.names()


# the node itself


def test_status_shows_the_node_at_one_glance(desk: Desk) -> None:
    name = desk.push(images.small(170), "status")
    desk.done("warm", name)
    status = desk.done("status")
    assert (status["node"], status["cut_off"]) == ("harbour", False)
    files = [f for f in (desk.node.folder / "data/blobs").rglob("*") if f.is_file()]
    store = status["store"]
    assert isinstance(store, dict)
    assert store["blob_count"] == len(files)
    assert store["blob_bytes"] == sum(file.stat().st_size for file in files)
    assert (store["writable"], store["spool_count"]) == (True, 0)
    people = desk.skerry("status")
    assert people.code == 0
    assert "harbour" in people.out
    assert f"{HOST} via origin" in people.out

    desk.cut()
    for number in range(3):
        desk.client.manifest(NAME, f"never-{number}")
    assert desk.done("status")["cut_off"] is True
    assert "cut off" in desk.skerry("status").out


def test_events_say_what_happened_with_cause_and_next_step(desk: Desk) -> None:
    desk.cut()
    for number in range(3):
        desk.client.manifest(NAME, f"gone-{number}")
    opened = desk.events("breaker.opened", f"{HOST}/origin")
    assert opened
    assert all(event["cause"] and event["next_step"] for event in opened)
    people = desk.skerry("events", "--since", "10m")
    assert people.code == 0
    assert "breaker.opened" in people.out
    found = desk.done("events", "--since", "0s")["events"]
    assert isinstance(found, list)


def test_wrong_input_is_refused_with_2_and_nothing_happens(desk: Desk) -> None:
    for command in (
        ("warm", f"{NAME}:1", "UPPER/case:1"),
        ("warm", f"{NAME}:1", "--bytes-max", "much"),
        ("rm", "a b"),
        ("pin", f"{NAME}@sha256:short"),
        ("events", "--since", "yesterday"),
        ("evict", "--bytes", "-5"),
        ("evict", "--bytes", "1MiB", "--image", f"{NAME}:1"),
    ):
        said = desk.skerry(*command)
        assert said.code == 2, (command, said)
        assert said.err


def test_a_node_that_is_not_there_is_exit_3_with_where_it_was_looked_for(desk: Desk) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    for command in (["status"], ["ls"], ["warm", f"{NAME}:1"], ["scrub"]):
        argv = [*SKERRY, *command, "--config", str(desk.node.config), "--node", nowhere, "--json"]
        ran = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert ran.returncode == 3, ran.stderr
        assert nowhere in json.loads(ran.stdout)["error"]["what"]
        assert "skerry up" in ran.stderr


def test_the_admin_door_opens_to_its_token_alone(desk: Desk) -> None:
    door = RegistryClient(desk.node.admin)
    for path in ("/api/v1/status", "/api/v1/images", "/api/v1/events", "/api/v1/none"):
        assert door.get(path).status == 401
        assert door.get(path, ("Authorization", "Bearer wrong")).status == 401
    assert door.send("POST", "/api/v1/scrub").status == 401
    for path in ("/healthz", "/readyz", "/metrics"):
        assert door.get(path).status == 200
    assert door.get("/api/v1/status", ("Host", "evil.example")).status in (400, 421)
