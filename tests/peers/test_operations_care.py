"""The command line against a live node: images that travel as files, and blobs that rot."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.app.drill.images import Image
from skerry.app.drill.processes import NodeProcess
from skerry.base.digest import Digest
from tests.rig import images, nodes
from tests.rig.desk import NAME, Desk, blob_file, open_desk
from tests.rig.nodes import HOST
from tests.rig.processes import Rig


@pytest.fixture(scope="module")
def made(shared: Rig) -> Desk:
    return open_desk(shared)


@pytest.fixture
def desk(made: Desk) -> Iterator[Desk]:
    """The module's desk, its link whole and nothing counted yet."""
    made.origin.log.clear()
    yield made
    made.heal()


# export, import


def exported(desk: Desk, image: Image, tag: str, path: Path) -> str:
    """Warms an image, cuts the link and writes it as a layout; its name."""
    name = desk.push(image, tag)
    desk.done("warm", name, "--all-platforms")
    desk.cut()
    report = desk.done("export", name, str(path))
    assert (report["reference"], report["digest"]) == (name, str(image.digest))
    assert report["blob_count"] == 3 + len(image.every_blob())
    again = desk.skerry("export", name, str(path))
    assert again.code == 2, "what is there is not overwritten"
    transport = "oci-archive" if path.suffix == ".tar" else "oci"
    looked = desk.rig.skopeo("inspect", "--raw", f"{transport}:{path}")
    assert looked.stdout.encode() == image.manifest.data, looked.stderr
    return name


def skopeo_pulls_all(desk: Desk, node: NodeProcess, reference: str) -> None:
    copied = desk.rig.skopeo(
        "copy", "-q", "--all", "--preserve-digests", "--src-tls-verify=false",
        f"docker://{node.registry}/{reference}", f"dir:{desk.rig.place('copy')}",
    )  # fmt: skip
    assert copied.returncode == 0, copied.stderr


def test_an_image_travels_as_a_folder_to_a_node_whose_upstream_is_gone(desk: Desk) -> None:
    image, path = images.multi_arch(150), desk.rig.place("travel") / "layout"
    name = exported(desk, image, "folder", path)
    far = desk.rig.node(nodes.settings("http://127.0.0.1:1"), name="far")
    assert desk.done("import", str(path), node=far)["references"] == [name]
    assert desk.row(name, node=far)["whole"] is True
    skopeo_pulls_all(desk, far, name)
    far.restart()
    skopeo_pulls_all(desk, far, name)
    far.kill()


def test_an_image_travels_as_an_archive_to_a_node_that_has_no_upstream_at_all(desk: Desk) -> None:
    image, path = images.multi_arch(152), desk.rig.place("travel") / "layout.tar"
    exported(desk, image, "archive", path)
    alone = {**nodes.settings(""), "upstream": []}
    far = desk.rig.node(nodes.with_local(alone, desk.rig.place("users")), name="alone")
    refused = desk.skerry("import", str(path), node=far)
    assert refused.code == 2
    assert f"{HOST}' is not configured" in refused.err
    renamed = desk.done("import", str(path), "--as", "local/travelled:2", node=far)
    assert renamed["references"] == ["local/travelled:2"]
    assert desk.done("status", node=far)["cut_off"] is False
    far.restart()
    skopeo_pulls_all(desk, far, "local/travelled:2")
    far.kill()


def test_a_layout_that_was_tampered_with_is_refused_whole(desk: Desk) -> None:
    image = images.small(152)
    name = desk.push(image, "tampered")
    desk.done("warm", name)
    path = desk.rig.place("tampered") / "layout"
    desk.done("export", name, str(path))
    desk.done("rm", name)
    layer = image.blobs[2]
    file = path / "blobs" / layer.digest.algorithm / layer.digest.hex
    file.write_bytes(layer.data[:-1] + bytes([layer.data[-1] ^ 1]))
    refused = desk.skerry("import", str(path), "--json")
    assert refused.code == 2
    assert layer.digest.hex in refused.json()["error"]["what"]
    assert name not in desk.names()
    shutil.rmtree(path)


def test_half_an_image_is_not_exported(desk: Desk) -> None:
    image = images.small(154)
    name = desk.push(image, "partial")
    assert desk.client.manifest(NAME, "partial").status == 200
    path = desk.rig.place("partial") / "layout"
    assert desk.skerry("export", name, str(path)).code == 2
    assert desk.skerry("export", f"{NAME}:none", str(path)).code == 1
    assert list(path.parent.iterdir()) == [], "nothing is left of it"


# scrub


def rot(node: NodeProcess, digest: Digest) -> None:
    """One bit of a blob's file goes wrong."""
    file = blob_file(node, digest)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    with file.open("r+b") as opened:
        opened.write(data)


@pytest.fixture
def fresh(rig: Rig) -> Desk:
    """A node that has not been restarted: its own scrub is done before there is anything."""
    return open_desk(rig)


def test_a_scrub_finds_rot_puts_it_away_and_heals_it_from_the_upstream(fresh: Desk) -> None:
    desk = fresh
    image = images.small(160)
    name = desk.push(image, "rotten")
    desk.done("warm", name)
    clean = desk.done("scrub")
    assert (clean["ended"], clean["lost"]) == (True, [])
    layer = image.blobs[2]
    for digest in (layer.digest, image.digest):
        rot(desk.node, digest)
        quarantined = desk.done("status")["store"]["quarantine_count"]
        report = desk.done("scrub")
        result = report["result"]
        assert (result["step"], result["corrupt_count"], result["healed_count"]) == ("done", 1, 1)
        assert desk.done("status")["store"]["quarantine_count"] == quarantined + 1
        assert len(desk.events("blob.quarantined", digest)) == 1
        assert len(desk.events("blob.healed", digest)) == 1
    assert desk.row(name)["whole"] is True
    desk.cut()
    desk.serves(image, "rotten")


def test_what_a_scrub_cannot_heal_is_reported_lost_and_comes_back_with_the_link(
    fresh: Desk,
) -> None:
    desk = fresh
    image = images.small(162)
    name = desk.push(image, "lost")
    desk.done("warm", name)
    layer = image.blobs[2]
    desk.cut()
    rot(desk.node, layer.digest)
    said = desk.skerry("scrub", "--json")
    assert said.code == 1
    assert said.json()["lost"] == [str(layer.digest)]
    people = desk.skerry("scrub")
    assert people.code == 0, "it is lost once; what is here now is sound"
    assert desk.client.blob(NAME, layer.digest).status == 503, "never the wrong bytes"
    assert name in desk.names("--missing")
    (lost,) = desk.events("blob.lost", layer.digest)
    assert lost["level"] == "error"
    assert lost["next_step"]
    desk.heal()
    desk.serves(image, "lost")
