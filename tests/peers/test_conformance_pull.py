"""distribution-spec 1.1 "Pull" against real nodes: own repositories and pulled-through ones alike.

Each test runs against three doors: a repository pushed to the node, one pulled through from
Debian's docker-registry and one pulled through from another Skerry node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import push
from skerry.base.digest import digest_of
from tests.rig import images, nodes, spec
from tests.rig.nodes import HOST, PASSWORD, USER
from tests.rig.processes import Rig
from tests.rig.spec import is_refused

IMAGE = images.multi_arch(70)
LONG = images.small(75, algorithm="sha512")
UNTOUCHED = images.small(76)
BLOB = IMAGE.children[0].blobs[2]
METHODS = ("GET", "HEAD")


@dataclass(frozen=True)
class Door:
    """A place to pull from: `repository` holds IMAGE as `1` and LONG as `long`."""

    client: RegistryClient
    repository: str
    known: RegistryClient | None = None

    def ask(self, path: str, *fields: tuple[str, str], method: str = "GET") -> Got:
        return self.client.get(f"/v2/{self.repository}/{path}", *fields, method=method)

    def blob(self, digest: object, *fields: tuple[str, str], method: str = "GET") -> Got:
        return self.ask(f"blobs/{digest}", *fields, method=method)

    def manifest(self, reference: object, *fields: tuple[str, str], method: str = "GET") -> Got:
        return self.ask(f"manifests/{reference}", *fields, method=method)


def _local(rig: Rig) -> Door:
    base = nodes.settings("http://127.0.0.1:1")
    node = rig.node(nodes.with_local(base, rig.place("users")))
    keeper = RegistryClient(node.registry, user=USER, password=PASSWORD)
    _fill(keeper, "local/app")
    return Door(RegistryClient(node.registry), "local/app", keeper)


def _through_docker_registry(rig: Rig) -> Door:
    upstream = rig.registry()
    _fill(upstream.client(), "team/app")
    node = rig.node(nodes.settings(upstream.url))
    return Door(RegistryClient(node.registry), f"{HOST}/team/app")


def _through_another_node(rig: Rig) -> Door:
    far = _local(rig)
    node = rig.node(nodes.settings(f"http://{far.client.authority}"))
    return Door(RegistryClient(node.registry), f"{HOST}/{far.repository}")


DOORS: dict[str, Callable[[Rig], Door]] = {
    "own": _local,
    "through-docker-registry": _through_docker_registry,
    "through-another-node": _through_another_node,
}


def _fill(client: RegistryClient, repository: str) -> None:
    push(client, repository, IMAGE, "1")
    push(client, repository, LONG, "long")
    push(client, repository, UNTOUCHED, "untouched")


@pytest.fixture(scope="module", params=DOORS)
def door(shared: Rig, request: pytest.FixtureRequest) -> Door:
    return DOORS[request.param](shared)


def test_the_version_check_says_yes(door: Door) -> None:
    for path in ("/v2/", "/v2"):
        for method in METHODS:
            got = (door.known or door.client).get(path, method=method)
            assert got.status == 200
            if door.known is not None:  # end-1: 401 where credentials may be needed
                got = door.client.get(path, method=method)
                assert got.status == 401
            assert got.headers.get("Docker-Distribution-Api-Version") == "registry/2.0"


def test_blobs_are_there_by_get_and_head(door: Door) -> None:
    for blob in (*IMAGE.every_blob(), *LONG.every_blob()):
        for method in (*METHODS, *METHODS):  # cold, then warm
            got = door.blob(blob.digest, method=method)
            assert got.status == 200, got.text()
            assert got.body == (blob.data if method == "GET" else b"")
            assert got.headers.get("Content-Length") == str(len(blob.data))
            assert got.headers.get("Docker-Content-Digest") == str(blob.digest)
            assert got.headers.get("Content-Encoding") is None


def test_manifests_are_there_by_tag_and_digest(door: Door) -> None:
    child = IMAGE.children[0]
    wanted = [(IMAGE, "1"), (IMAGE, IMAGE.digest), (child, child.digest), (LONG, "long")]
    for image, reference in wanted:
        for method in (*METHODS, *METHODS):
            got = door.manifest(reference, method=method)
            assert got.status == 200, got.text()
            assert got.body == (image.manifest.data if method == "GET" else b"")
            assert got.headers.get("Content-Length") == str(len(image.manifest.data))
            assert got.headers.get("Docker-Content-Digest") == str(image.digest)
            assert got.headers.get("Content-Type") == image.manifest.media_type


def test_head_says_the_same_as_get(door: Door) -> None:
    for path in (f"blobs/{BLOB.digest}", "manifests/1", f"manifests/{IMAGE.digest}"):
        door.ask(path)
        said = [dict(_constant(door.ask(path, method=method))) for method in METHODS]
        assert said[0] == said[1], path
        assert {"content-length", "content-type", "etag", "docker-content-digest"} <= said[0].keys()


def _constant(got: Got) -> list[tuple[str, str]]:
    changing = ("date", "age", "connection", "keep-alive")
    return [(n.lower(), v) for n, v in got.headers if n.lower() not in changing]


@pytest.mark.parametrize("accept", [IMAGE.manifest.media_type, "*/*", "", "text/html"])
def test_the_stored_form_goes_out_whatever_is_accepted(door: Door, accept: str) -> None:
    """A digest has one form; like every registry we send it rather than convert or refuse."""
    got = door.manifest("1", *([("Accept", accept)] if accept else []))
    assert (got.status, got.body) == (200, IMAGE.manifest.data)


def test_what_does_not_exist_is_404_in_the_specs_words(door: Door) -> None:
    elsewhere = door.repository.replace("/app", "/nowhere")
    absent512 = digest_of(b"never", "sha512")
    for path, code in (
        (f"/v2/{door.repository}/blobs/{spec.ABSENT}", "BLOB_UNKNOWN"),
        (f"/v2/{door.repository}/blobs/{absent512}", "BLOB_UNKNOWN"),
        (f"/v2/{door.repository}/manifests/{spec.ABSENT}", "MANIFEST_UNKNOWN"),
        (f"/v2/{door.repository}/manifests/none", "MANIFEST_UNKNOWN"),
        (f"/v2/{door.repository}/manifests/.INVALID_MANIFEST_NAME", "MANIFEST_UNKNOWN"),
        (f"/v2/{elsewhere}/manifests/1", "MANIFEST_UNKNOWN"),
        (f"/v2/{elsewhere}/blobs/{BLOB.digest}", "BLOB_UNKNOWN"),
        (f"/v2/{elsewhere}/manifests/{IMAGE.digest}", "MANIFEST_UNKNOWN"),
    ):
        is_refused(door.client.get(path), 404, code, "NAME_UNKNOWN")
        head = door.client.get(path, method="HEAD")
        assert (head.status, head.body) == (404, b"")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("blobs/sha256:totallywrong", "DIGEST_INVALID"),
        ("blobs/sha256:" + "A" * 64, "DIGEST_INVALID"),
        ("blobs/notadigest", "DIGEST_INVALID"),
        ("manifests/sha256:totallywrong", "DIGEST_INVALID"),
        ("manifests/md5:" + "0" * 32, "DIGEST_INVALID"),
        ("UPPER/manifests/1", "NAME_INVALID"),
        ("a//b/manifests/1", "NAME_INVALID"),
        ("../app/manifests/1", "NAME_INVALID"),
        ("%2e%2e/app/manifests/1", "NAME_INVALID"),
        ("a%2fb/manifests/1", "NAME_INVALID"),
    ],
)
def test_what_cannot_be_meant_is_400_in_the_specs_words(door: Door, path: str, code: str) -> None:
    is_refused(door.ask(path), 400, code)


def test_writing_where_nobody_may_write_is_refused_in_the_specs_words(door: Door) -> None:
    for method, path in (
        ("PUT", f"/v2/{HOST}/team/app/manifests/1"),
        ("POST", f"/v2/{HOST}/team/app/blobs/uploads/"),
        ("DELETE", f"/v2/{HOST}/team/app/manifests/1"),
        ("DELETE", f"/v2/{HOST}/team/app/blobs/{BLOB.digest}"),
    ):
        is_refused(door.client.send(method, path), 405, "UNSUPPORTED")


def test_a_client_that_has_it_gets_304(door: Door) -> None:
    for path in ("manifests/1", f"manifests/{IMAGE.digest}", f"blobs/{BLOB.digest}"):
        tag = door.ask(path).headers.get("ETag")
        assert tag
        for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            for method in METHODS:
                got = door.ask(path, ("If-None-Match", condition), method=method)
                assert (got.status, got.body) == (304, b""), (path, condition)
                assert got.headers.get("ETag") == tag
        assert door.ask(path, ("If-None-Match", '"other"')).status == 200


def test_parts_of_a_blob_are_had_by_range(door: Door) -> None:
    size = len(BLOB.data)
    for asked, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=1000-", 1000, size),
        ("bytes=-17", size - 17, size),
        (f"bytes=10-{size * 2}", 10, size),
        (f"bytes=-{size * 2}", 0, size),
    ):
        got = door.blob(BLOB.digest, ("Range", asked))
        assert (got.status, got.body) == (206, BLOB.data[start:stop]), asked
        assert got.headers.get("Content-Range") == f"bytes {start}-{stop - 1}/{size}"
    for useless in ("bytes=5-1", "lines=1-2", "bytes=x"):
        got = door.blob(BLOB.digest, ("Range", useless))
        assert (got.status, got.body) == (200, BLOB.data), useless
    beyond = door.blob(BLOB.digest, ("Range", f"bytes={size}-"))
    assert (beyond.status, beyond.headers.get("Content-Range")) == (416, f"bytes */{size}")


def test_a_range_counts_only_for_the_content_it_was_begun_with(door: Door) -> None:
    part = ("Range", "bytes=0-9")
    tag = door.blob(BLOB.digest).headers.get("ETag") or ""
    assert door.blob(BLOB.digest, part, ("If-Range", tag)).status == 206
    changed = door.blob(BLOB.digest, part, ("If-Range", '"other"'))
    assert (changed.status, changed.body) == (200, BLOB.data)


def test_a_first_range_of_a_blob_that_is_not_here_yet_is_answered(shared: Rig, door: Door) -> None:
    """Cold ranges: the lazy loaders' first request (C1)."""
    blob = IMAGE.children[1].blobs[2]
    size = len(blob.data)
    got = door.blob(blob.digest, ("Range", "bytes=-100"))
    assert (got.status, got.body) == (206, blob.data[-100:])
    assert got.headers.get("Content-Range") == f"bytes {size - 100}-{size - 1}/{size}"


def test_the_upstream_is_named_in_every_answer_about_its_content(door: Door) -> None:
    expected = HOST if door.repository.startswith(HOST) else None
    for path in ("manifests/1", f"blobs/{BLOB.digest}"):
        assert door.ask(path).headers.get("OCI-Namespace") == expected


def test_containerds_ns_parameter_means_the_same_as_the_path(door: Door) -> None:
    host, _, rest = door.repository.partition("/")
    if host != HOST:  # pushed here: `ns=` means an upstream, and that one is not there
        for path in (f"manifests/1?ns={HOST}", f"blobs/{BLOB.digest}?ns={HOST}"):
            assert door.ask(path).status == 503
        return
    for path, data in (
        (f"/v2/{rest}/manifests/1", IMAGE.manifest.data),
        (f"/v2/{rest}/manifests/{IMAGE.digest}", IMAGE.manifest.data),
        (f"/v2/{rest}/blobs/{BLOB.digest}", BLOB.data),
    ):
        assert door.client.get(f"{path}?ns={HOST}").body == data
        is_refused(door.client.get(f"{path}?ns=other.test"), 404, "NAME_UNKNOWN")
