"""distribution-spec 1.1 "Content Management": what is deleted is gone, at once and for good."""

from __future__ import annotations

import json

import pytest

from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import MANIFEST_TYPE, Image, index, push
from skerry.app.drill.processes import NodeProcess
from tests.rig import images, nodes, spec
from tests.rig.nodes import PASSWORD, USER
from tests.rig.processes import Rig
from tests.rig.spec import is_refused

REPOSITORY = "local/managed"


@pytest.fixture(scope="module")
def node(shared: Rig) -> NodeProcess:
    base = nodes.settings("http://127.0.0.1:1")
    return shared.node(nodes.with_local(base, shared.place("users")))


@pytest.fixture(scope="module")
def client(node: NodeProcess) -> RegistryClient:
    return RegistryClient(node.registry, user=USER, password=PASSWORD)


def delete(client: RegistryClient, kind: str, reference: object, where: str = REPOSITORY) -> Got:
    return client.send("DELETE", f"/v2/{where}/{kind}/{reference}")


def tags(client: RegistryClient, where: str = REPOSITORY) -> list[str]:
    got = client.get(f"/v2/{where}/tags/list")
    assert got.status == 200, got.text()
    names: list[str] = json.loads(got.body)["tags"]
    return names


def is_gone(client: RegistryClient, image: Image, where: str = REPOSITORY) -> None:
    is_refused(client.manifest(where, image.digest), 404, "MANIFEST_UNKNOWN")
    assert client.manifest(where, image.digest, method="HEAD").status == 404


def test_a_deleted_tag_is_gone_and_its_manifest_stays(client: RegistryClient) -> None:
    image = images.small(90)
    push(client, REPOSITORY, image, "one")
    push(client, REPOSITORY, image, "two")
    assert client.manifest(REPOSITORY, "one").status == 200  # the fast way knows it now
    assert delete(client, "manifests", "one").status == 202
    is_refused(client.manifest(REPOSITORY, "one"), 404, "MANIFEST_UNKNOWN")
    assert "one" not in tags(client)
    assert "two" in tags(client)
    assert client.manifest(REPOSITORY, "two").body == image.manifest.data
    assert client.manifest(REPOSITORY, image.digest).body == image.manifest.data
    is_refused(delete(client, "manifests", "one"), 404, "MANIFEST_UNKNOWN")


def test_a_repository_that_lost_its_last_tag_is_still_one(client: RegistryClient) -> None:
    image = images.small(91)
    push(client, f"{REPOSITORY}/last", image, "1")
    assert delete(client, "manifests", "1", f"{REPOSITORY}/last").status == 202
    assert tags(client, f"{REPOSITORY}/last") == []


def test_a_deleted_manifest_takes_its_tags_along(client: RegistryClient) -> None:
    image = images.small(92)
    for tag in ("first", "second"):
        push(client, REPOSITORY, image, tag)
        assert client.manifest(REPOSITORY, tag).status == 200
    assert delete(client, "manifests", image.digest).status == 202
    is_gone(client, image)
    for tag in ("first", "second"):
        is_refused(client.manifest(REPOSITORY, tag), 404, "MANIFEST_UNKNOWN")
        assert tag not in tags(client)
    is_refused(delete(client, "manifests", image.digest), 404, "MANIFEST_UNKNOWN")


def test_blobs_are_deleted_after_their_manifest(client: RegistryClient) -> None:
    image = images.small(93)
    push(client, REPOSITORY, image, "1")
    assert delete(client, "manifests", image.digest).status == 202
    for blob in image.blobs:
        assert client.blob(REPOSITORY, blob.digest).status == 200
        assert delete(client, "blobs", blob.digest).status == 202
        is_refused(client.blob(REPOSITORY, blob.digest), 404, "BLOB_UNKNOWN")
        is_refused(delete(client, "blobs", blob.digest), 404, "BLOB_UNKNOWN")


def test_what_a_manifest_still_needs_is_not_deleted(client: RegistryClient) -> None:
    """An image in the registry is never made half; 405 is what the suite allows for that."""
    both = index([images.small(94), images.small(95, architecture="arm64")])
    push(client, REPOSITORY, both, "both")
    child = both.children[0]
    is_refused(delete(client, "manifests", child.digest), 405, "UNSUPPORTED")
    is_refused(delete(client, "blobs", child.blobs[0].digest), 405, "UNSUPPORTED")
    assert client.manifest(REPOSITORY, child.digest).status == 200
    for level in (both, *both.children):
        assert delete(client, "manifests", level.digest).status == 202
    assert delete(client, "blobs", child.blobs[0].digest).status == 202


def test_deleting_in_one_repository_leaves_the_others_whole(client: RegistryClient) -> None:
    image, here, there = images.small(96), f"{REPOSITORY}/here", f"{REPOSITORY}/there"
    for where in (here, there):
        push(client, where, image, "1")
    assert delete(client, "manifests", image.digest, here).status == 202
    for blob in image.blobs:
        assert delete(client, "blobs", blob.digest, here).status == 202
    is_gone(client, image, here)
    assert client.manifest(there, "1").body == image.manifest.data
    for blob in image.blobs:
        assert client.blob(here, blob.digest).status == 404
        spec.holds(client, there, blob.digest, blob.data)


def test_what_was_deleted_can_be_pushed_again(client: RegistryClient) -> None:
    image = images.small(97)
    for _ in range(2):
        push(client, REPOSITORY, image, "again")
        assert client.manifest(REPOSITORY, "again").body == image.manifest.data
        assert delete(client, "manifests", image.digest).status == 202
        for blob in image.blobs:
            assert delete(client, "blobs", blob.digest).status == 202


def test_what_never_was_cannot_be_deleted(client: RegistryClient) -> None:
    is_refused(delete(client, "manifests", "none"), 404, "MANIFEST_UNKNOWN")
    is_refused(delete(client, "manifests", spec.ABSENT), 404, "MANIFEST_UNKNOWN")
    is_refused(delete(client, "blobs", spec.ABSENT), 404, "BLOB_UNKNOWN")
    is_refused(delete(client, "blobs", "sha256:x"), 400, "DIGEST_INVALID")


def test_what_was_acknowledged_holds_after_a_crash(
    node: NodeProcess, client: RegistryClient
) -> None:
    """kill -9 right after the answers: pushes are there, deletions too (known failures T15)."""
    kept, gone = images.small(98), images.small(99)
    push(client, REPOSITORY, gone, "gone")
    assert delete(client, "manifests", gone.digest).status == 202
    push(client, REPOSITORY, kept, "kept")
    node.restart()
    is_gone(client, gone)
    assert "gone" not in tags(client)
    assert client.manifest(REPOSITORY, "kept").body == kept.manifest.data
    for blob in kept.blobs:
        spec.holds(client, REPOSITORY, blob.digest, blob.data)
    done = spec.put_manifest(client, REPOSITORY, "more", MANIFEST_TYPE, kept.manifest.data)
    assert done.status == 201
