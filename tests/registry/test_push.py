"""Local repositories: transcripts of pushes, mounts and deletions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random

import pytest

from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.base.clock import ManualClock
from skerry.base.digest import Digest, digest_of
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.manifests import OCI_INDEX, OCI_MANIFEST
from skerry.registry.core.names import parse_target
from skerry.registry.ports import LOCAL, CatalogReadOnly, Repository
from skerry.registry.push import Pushes
from skerry.registry.uploads import UploadLimits, Uploads
from skerry.store.ports import StoreFull
from skerry.store.testing import MemoryStore
from skerry.wire.message import Answer, Headers, Request

APP, LIB = Repository(LOCAL, "local/app"), Repository(LOCAL, "local/lib")
HUB = Repository("docker.io", "library/nginx")
DATA = b"a layer" * 100
DIGEST = digest_of(DATA)


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class Node:
    """The write side over memory twins; `changes` counts what empties ready answers."""

    def __init__(self, *, deletion: bool = True, limits: UploadLimits | None = None) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.catalog = SqliteCatalog.open(None)
        self.changes = 0
        self.uploads = Uploads(
            store=self.store,
            catalog=self.catalog,
            clock=self.clock,
            chance=Random(1),
            limits=limits,
        )
        self.pushes = Pushes(
            store=self.store,
            catalog=self.catalog,
            clock=self.clock,
            uploads=self.uploads,
            changed=self._changed,
            deletion=deletion,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def send(
        self,
        method: str,
        target: str,
        *pieces: bytes,
        where: Repository = APP,
        **headers: str,
    ) -> Answer:
        path, _, query = target.partition("?")
        if not path.startswith("/v2/"):
            path = f"/v2/{where.name}/{path}"
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        request = Request(method, path, Headers(fields), query, path, chunks(*pieces))
        found = parse_target(method, path, path, query)
        return await self.pushes.answer(request, where, found)  # type: ignore[arg-type]

    async def refused(self, *args: str | bytes, **kwargs: str | Repository) -> RegistryError:
        with pytest.raises(RegistryError) as caught:
            await self.send(*args, **kwargs)  # type: ignore[arg-type]
        return caught.value

    async def blob(self, data: bytes, where: Repository = APP) -> Digest:
        answer = await self.send(
            "POST", f"blobs/uploads/?digest={digest_of(data)}", data, where=where
        )
        assert answer.status == 201
        return digest_of(data)

    async def image(self, tag: str, *, where: Repository = APP) -> Digest:
        await self.blob(b"config", where)
        await self.blob(DATA, where)
        data = image_of(DATA)
        answer = await self.send(
            "PUT", f"manifests/{tag}", data, where=where, Content_Type=OCI_MANIFEST
        )
        assert answer.status == 201
        return digest_of(data)

    async def session(self) -> str:
        answer = await self.send("POST", "blobs/uploads/")
        assert answer.status == 202
        return answer.headers.get("Location") or ""


def descriptor(data: bytes, media_type: str = "application/x") -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data)}


def image_of(*layers: bytes, **more: object) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(b"config"),
        "layers": [descriptor(layer) for layer in layers],
        **more,
    }
    return json.dumps(document).encode()


async def test_a_blob_in_one_request_is_acknowledged_when_it_is_kept() -> None:
    node = Node()
    answer = await node.send("POST", f"blobs/uploads/?digest={DIGEST}", DATA[:10], DATA[10:])
    assert (answer.status, answer.headers.get("Location")) == (201, f"/v2/local/app/blobs/{DIGEST}")
    assert answer.headers.get("Docker-Content-Digest") == str(DIGEST)
    assert node.store.size_of(DIGEST) == len(DATA)
    assert node.catalog.is_member(APP, DIGEST)
    assert node.uploads.statistics().session_count == 0


async def test_a_blob_in_chunks_says_how_far_it_is() -> None:
    node = Node()
    place = await node.session()
    first = await node.send("PATCH", place, DATA[:100], Content_Range="0-99", Content_Length="100")
    assert (first.status, first.headers.get("Range")) == (202, "0-99")
    assert (await node.send("GET", place)).headers.get("Range") == "0-99"
    assert (await node.send("PATCH", place, DATA[100:200])).headers.get("Range") == "0-199"
    last = await node.send(
        "PUT", f"{place}?digest={DIGEST}", DATA[200:], Content_Range=f"200-{len(DATA) - 1}"
    )
    assert (last.status, node.store.size_of(DIGEST)) == (201, len(DATA))
    assert (await node.refused("GET", place)).code is Code.BLOB_UPLOAD_UNKNOWN


async def test_a_chunk_out_of_order_is_416_and_the_upload_goes_on() -> None:
    node = Node()
    place = await node.session()
    await node.send("PATCH", place, DATA[:100])
    for wrong in ("0-99", "50-150", "101-200", "nonsense", "100-99"):
        error = await node.refused("PATCH", place, b"x" * 100, Content_Range=wrong)
        assert (error.status, dict(error.headers)["Range"]) == (416, "0-99")
    answer = await node.send("PUT", f"{place}?digest={DIGEST}", DATA[100:])
    assert answer.status == 201


async def test_a_chunk_of_another_length_than_it_said_ends_the_upload() -> None:
    node = Node()
    place = await node.session()
    error = await node.refused("PATCH", place, b"xy", Content_Range="0-4", Content_Length="2")
    assert error.code is Code.SIZE_INVALID
    error = await node.refused("PATCH", place, b"xy", Content_Range="0-4")
    assert error.code is Code.SIZE_INVALID
    assert not node.store.spools


async def test_t10_bytes_that_are_not_what_they_are_called_are_never_kept() -> None:
    node = Node()
    assert (
        await node.refused("POST", f"blobs/uploads/?digest={DIGEST}", b"other")
    ).code is Code.DIGEST_INVALID
    place = await node.session()
    error = await node.refused("PUT", f"{place}?digest={DIGEST}", b"other")
    assert error.code is Code.DIGEST_INVALID
    assert node.store.size_of(DIGEST) is None
    assert not node.catalog.is_member(APP, DIGEST)
    assert not node.store.spools


async def test_t18_a_digest_that_is_none_is_refused() -> None:
    node = Node()
    place = await node.session()
    for text in ("", "sha256:..", f"sha256:{'A' * 64}"):
        assert (await node.refused("PUT", f"{place}?digest={text}")).status == 400
        assert (await node.refused("POST", f"blobs/uploads/?digest={text}")).status == 400


async def test_an_empty_blob_and_sha512_can_be_pushed() -> None:
    node = Node()
    for data in (b"", DATA):
        digest = digest_of(data, "sha512")
        assert (await node.send("POST", f"blobs/uploads/?digest={digest}", data)).status == 201
        assert node.store.size_of(digest) == len(data)


async def test_an_upload_can_be_cancelled_and_belongs_to_its_repository() -> None:
    node = Node()
    place = await node.session()
    upload_id = place.rpartition("/")[2]
    error = await node.refused("GET", f"blobs/uploads/{upload_id}", where=LIB)
    assert error.code is Code.BLOB_UPLOAD_UNKNOWN
    assert (await node.send("DELETE", place)).status == 204
    assert (await node.refused("PATCH", place, b"x")).code is Code.BLOB_UPLOAD_UNKNOWN
    assert not node.store.spools


async def test_uploads_are_bounded_in_number_and_idle_time() -> None:
    node = Node(limits=UploadLimits(sessions_max=2, idle_seconds=60.0))
    first = await node.session()
    node.clock.advance(40.0)
    await node.session()
    error = await node.refused("POST", "blobs/uploads/")
    assert (error.status, dict(error.headers)["Retry-After"]) == (503, "30")
    node.clock.advance(30.0)
    await node.session()
    assert (await node.refused("GET", first)).code is Code.BLOB_UPLOAD_UNKNOWN
    assert node.uploads.statistics().expired_count == 1
    await node.pushes.close()
    assert not node.store.spools


async def test_a_client_that_leaves_goes_on_from_what_arrived() -> None:
    node = Node()
    place = await node.session()

    async def broken() -> AsyncIterator[bytes]:
        yield DATA[:50]
        raise ConnectionResetError

    request = Request("PATCH", place, body=broken())
    with pytest.raises(ConnectionResetError):
        await node.pushes.answer(request, APP, parse_target("PATCH", place))  # type: ignore[arg-type]
    assert (await node.send("GET", place)).headers.get("Range") == "0-49"
    assert (await node.send("PUT", f"{place}?digest={DIGEST}", DATA[50:])).status == 201


async def test_two_requests_never_write_to_one_upload() -> None:
    node = Node()
    place = await node.session()
    gate = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await gate.wait()

    request = Request("PATCH", place, body=slow())
    target = parse_target("PATCH", place)
    running = asyncio.ensure_future(node.pushes.answer(request, APP, target))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert (await node.refused("PATCH", place, b"y")).status == 409
    gate.set()
    assert (await running).headers.get("Range") == "0-0"


async def test_t36_a_full_disk_keeps_nothing_of_an_upload() -> None:
    node = Node()
    place = await node.session()
    node.store.full = True
    with pytest.raises(StoreFull):
        await node.send("PATCH", place, DATA)
    assert not node.store.spools
    assert node.uploads.statistics().session_count == 0


async def test_what_the_catalog_could_not_remember_is_not_acknowledged() -> None:
    node = Node()
    writer = node.catalog._file._writer
    assert writer is not None
    writer.execute("PRAGMA query_only = 1")
    with pytest.raises(CatalogReadOnly):
        await node.send("POST", f"blobs/uploads/?digest={DIGEST}", DATA)
    assert node.changes == 0


async def test_t17_a_mount_needs_a_local_repository_that_holds_it() -> None:
    node = Node()
    await node.store.put(DIGEST, DATA)
    await node.catalog.put_member(HUB, DIGEST, "layer", now=1.0)
    for source in ("library/nginx", "docker.io/library/nginx", "local/lib", "../etc", ""):
        answer = await node.send("POST", f"blobs/uploads/?mount={DIGEST}&from={source}")
        assert answer.status == 202  # an upload begins instead
        assert not node.catalog.is_member(APP, DIGEST)
    assert (await node.send("POST", f"blobs/uploads/?mount={DIGEST}")).status == 202
    await node.blob(DATA, LIB)
    answer = await node.send("POST", f"blobs/uploads/?mount={DIGEST}&from=local/lib")
    assert (answer.status, answer.headers.get("Location")) == (201, f"/v2/local/app/blobs/{DIGEST}")
    assert node.catalog.is_member(APP, DIGEST)


async def test_t17_a_mount_of_bytes_that_are_gone_is_no_mount() -> None:
    node = Node()
    await node.blob(DATA, LIB)
    await node.store.delete(DIGEST)
    answer = await node.send("POST", f"blobs/uploads/?mount={DIGEST}&from=local/lib")
    assert answer.status == 202


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
