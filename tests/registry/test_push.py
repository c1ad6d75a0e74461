"""Local repositories: transcripts of uploads and mounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from push_rig import APP, DATA, DIGEST, HUB, LIB, Node

from skerry.base.digest import digest_of
from skerry.registry.core.errors import Code
from skerry.registry.core.names import parse_target
from skerry.registry.ports import CatalogReadOnly
from skerry.registry.uploads import UploadLimits
from skerry.store.ports import StoreFull
from skerry.wire.message import Request


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
