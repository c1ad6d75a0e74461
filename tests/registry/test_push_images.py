"""Local repositories: transcripts of images pushed and deleted."""

from __future__ import annotations

import json

import pytest
from push_rig import APP, DATA, DIGEST, HUB, LIB, Node, descriptor, image_of

from skerry.base.digest import Digest, digest_of
from skerry.registry.core.errors import Code
from skerry.registry.core.manifests import OCI_INDEX, OCI_MANIFEST
from skerry.registry.ports import Repository


async def test_an_image_is_pushed_by_tag_and_by_digest() -> None:
    node = Node()
    digest = await node.image("v1")
    tag = node.catalog.tag(APP, "v1")
    assert tag is not None
    assert tag.digest == digest
    assert node.store.size_of(digest) == len(image_of(DATA))
    again = await node.send("PUT", f"manifests/{digest}", image_of(DATA), Content_Type=OCI_MANIFEST)
    assert (again.status, again.headers.get("Location")) == (
        201,
        f"/v2/local/app/manifests/{digest}",
    )
    assert [found.name for found in node.catalog.tags(APP)] == ["v1"]


async def test_t12_a_manifest_pushed_under_another_digest_is_refused() -> None:
    node = Node()
    await node.image("v1")
    wrong = digest_of(b"other")
    error = await node.refused(
        "PUT", f"manifests/{wrong}", image_of(DATA), Content_Type=OCI_MANIFEST
    )
    assert (error.code, error.status) == (Code.DIGEST_INVALID, 400)


async def test_a_manifest_needs_all_of_its_contents_in_its_own_repository() -> None:
    node = Node()
    await node.image("v1", where=LIB)
    error = await node.refused("PUT", "manifests/v1", image_of(DATA), Content_Type=OCI_MANIFEST)
    assert (error.code, error.status) == (Code.MANIFEST_BLOB_UNKNOWN, 404)
    assert node.catalog.tag(APP, "v1") is None
    child = descriptor(b"child", OCI_MANIFEST)
    index = json.dumps({"schemaVersion": 2, "manifests": [child]}).encode()
    error = await node.refused("PUT", "manifests/v1", index, Content_Type=OCI_INDEX)
    assert error.code is Code.MANIFEST_BLOB_UNKNOWN


async def test_a_manifest_that_lies_about_a_length_is_refused() -> None:
    node = Node()
    await node.image("v1")
    lying = image_of(DATA).replace(f'"size": {len(DATA)}'.encode(), b'"size": 5')
    error = await node.refused("PUT", "manifests/v2", lying, Content_Type=OCI_MANIFEST)
    assert error.code is Code.MANIFEST_INVALID


@pytest.mark.parametrize("data", [b"", b"<html>", b"{}", b'{"schemaVersion":1}'])
async def test_t20_what_is_no_manifest_is_refused(data: bytes) -> None:
    node = Node()
    error = await node.refused("PUT", "manifests/v1", data, Content_Type=OCI_MANIFEST)
    assert (error.code, error.status) == (Code.MANIFEST_INVALID, 400)


async def test_t22_a_manifest_over_four_mebibytes_is_refused_before_it_is_read_whole() -> None:
    node = Node()
    pieces = [b" " * (1 << 20)] * 6
    error = await node.refused("PUT", "manifests/v1", *pieces, Content_Type=OCI_MANIFEST)
    assert (error.code, error.status) == (Code.MANIFEST_INVALID, 413)


async def test_a_referrer_says_its_subject_even_before_that_is_here() -> None:
    node = Node()
    await node.image("v1")
    subject = descriptor(b"not here yet", OCI_MANIFEST)
    data = image_of(subject=subject, artifactType="application/x-sbom")
    answer = await node.send("PUT", "manifests/sbom", data, Content_Type=OCI_MANIFEST)
    assert answer.headers.get("OCI-Subject") == subject["digest"]
    (found,) = node.catalog.referrers(APP, digest_of(b"not here yet"))
    assert found.artifact_type == "application/x-sbom"


async def test_deleting_a_tag_leaves_the_image() -> None:
    node = Node()
    digest = await node.image("v1")
    assert (await node.send("DELETE", "manifests/v1")).status == 202
    assert node.catalog.tag(APP, "v1") is None
    assert node.catalog.is_member(APP, digest)
    error = await node.refused("DELETE", "manifests/v1")
    assert (error.code, error.status) == (Code.MANIFEST_UNKNOWN, 404)


async def test_deleting_a_manifest_takes_its_tags_and_then_its_blobs_can_go() -> None:
    node = Node()
    digest = await node.image("v1")
    error = await node.refused("DELETE", f"blobs/{DIGEST}")
    assert error.status == 405
    assert str(digest) in error.what
    assert (await node.send("DELETE", f"manifests/{digest}")).status == 202
    assert node.catalog.tag(APP, "v1") is None
    assert node.store.size_of(digest) is None
    assert (await node.send("DELETE", f"blobs/{DIGEST}")).status == 202
    assert node.store.size_of(DIGEST) is None
    assert (await node.refused("DELETE", f"blobs/{DIGEST}")).code is Code.BLOB_UNKNOWN
    assert (await node.refused("DELETE", f"manifests/{digest}")).code is Code.MANIFEST_UNKNOWN


async def test_t17_deleted_content_stays_for_others_and_is_gone_here() -> None:
    node = Node()
    for where in (APP, LIB):
        await node.blob(DATA, where)
    await node.send("DELETE", f"blobs/{DIGEST}")
    assert not node.catalog.is_member(APP, DIGEST)
    assert node.catalog.is_member(LIB, DIGEST)
    assert node.store.size_of(DIGEST) == len(DATA)


async def test_t39_the_switch_for_deletion_covers_tags_manifests_and_blobs() -> None:
    node = Node(deletion=False)
    digest = await node.image("v1")
    await node.blob(b"loose")
    for target in ("manifests/v1", f"manifests/{digest}", f"blobs/{digest_of(b'loose')}"):
        error = await node.refused("DELETE", target)
        assert (error.code, error.status) == (Code.UNSUPPORTED, 405)
    assert node.catalog.tag(APP, "v1") is not None
    assert node.catalog.is_member(APP, digest_of(b"loose"))


@pytest.mark.parametrize("tag", ["v1", "latest"])
async def test_t39_the_switch_for_overwriting_covers_every_tag_and_every_way(tag: str) -> None:
    node = Node(overwriting=False)
    old = await node.image(tag)
    assert await node.image(tag) == old, "the same again is no change"
    other = image_of(DATA, annotations={"made": "later"})
    error = await node.refused("PUT", f"manifests/{tag}", other, Content_Type=OCI_MANIFEST)
    assert (error.code, error.status) == (Code.DENIED, 403)
    for target in (f"manifests/{tag}", f"manifests/{old}"):  # or it would be deleted and set anew
        error = await node.refused("DELETE", target)
        assert (error.code, error.status) == (Code.UNSUPPORTED, 405)
    kept = node.catalog.tag(APP, tag)
    assert kept is not None
    assert kept.digest == old


async def test_t38_a_content_is_wanted_while_a_push_makes_it_somebodys() -> None:
    node = Node()
    seen: list[bool] = []
    real = node.catalog.put_member

    async def looked(where: Repository, digest: Digest, kind: str, *, now: float) -> None:
        seen.append(node.pushes.is_uploading(digest))
        await real(where, digest, kind, now=now)

    node.catalog.put_member = looked  # type: ignore[method-assign]
    await node.blob(DATA)
    assert seen == [True]
    assert not node.pushes.is_uploading(DIGEST)


async def test_a_mirror_takes_no_pushes() -> None:
    node = Node()
    error = await node.refused("POST", "blobs/uploads/", where=HUB)
    assert (error.code, error.status) == (Code.UNSUPPORTED, 405)


async def test_every_change_empties_the_table_of_ready_answers() -> None:
    node = Node()
    digest = await node.image("v1")
    assert node.changes == 3
    await node.send("DELETE", "manifests/v1")
    await node.send("DELETE", f"manifests/{digest}")
    assert node.changes == 5
    assert node.pushes.statistics().deleted_count == 2
