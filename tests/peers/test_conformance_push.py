"""distribution-spec 1.1 "Push" against a real node: every way a blob and a manifest come in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import (
    CONFIG_TYPE,
    INDEX_TYPE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    Image,
    Piece,
    document,
    index,
    noise,
    push,
)
from skerry.app.drill.processes import NodeProcess
from skerry.base.digest import digest_of
from tests.rig import images, nodes, spec
from tests.rig.nodes import HOST, PASSWORD, USER
from tests.rig.processes import Rig
from tests.rig.spec import begin, finish, is_refused, patch, place_of, put_manifest

REPOSITORY, OTHER = "local/conformance/app", "local/conformance/other"
UPLOADS = f"/v2/{REPOSITORY}/blobs/uploads/"


@pytest.fixture(scope="module")
def node(shared: Rig) -> NodeProcess:
    """A node whose upstream does not exist: pushes need nobody."""
    base = nodes.settings("http://127.0.0.1:1")
    return shared.node(nodes.with_local(base, shared.place("users")))


@pytest.fixture(scope="module")
def client(node: NodeProcess) -> RegistryClient:
    return RegistryClient(node.registry, user=USER, password=PASSWORD)


def piece(seed: int, size_bytes: int = 512, algorithm: str = "sha256") -> Piece:
    return Piece.of("application/octet-stream", noise(seed, size_bytes), algorithm=algorithm)


# blobs


def test_a_blob_comes_in_by_one_post(client: RegistryClient) -> None:
    blob = piece(1)
    assert client.blob(REPOSITORY, blob.digest).status == 404
    target = spec.with_query(UPLOADS, digest=blob.digest)
    done = client.send("POST", target, fields=[spec.OCTETS], body=blob.data)
    assert done.status == 201, done.text()
    assert client.get(place_of(done)).body == blob.data
    spec.holds(client, REPOSITORY, blob.digest, blob.data)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("size_bytes", [0, 1, 200_000])
def test_a_blob_comes_in_by_post_and_put(
    client: RegistryClient, algorithm: str, size_bytes: int
) -> None:
    blob = piece(2, size_bytes, algorithm)
    done = finish(client, place_of(begin(client, REPOSITORY)), blob.digest, blob.data)
    assert done.status == 201, done.text()
    assert place_of(done) == f"/v2/{REPOSITORY}/blobs/{blob.digest}"
    spec.holds(client, REPOSITORY, blob.digest, blob.data)


def test_a_blob_comes_in_as_a_stream_of_unknown_length(
    client: RegistryClient, node: NodeProcess
) -> None:
    blob = piece(3, 100_000)
    begun = begin(client, REPOSITORY)
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    pieces = [blob.data[:30_000], blob.data[30_000:]]
    status = spec.patch_in_pieces(
        node.registry, place_of(begun), pieces, ("Authorization", f"Basic {pair}")
    )
    assert status == 202
    assert finish(client, place_of(begun), blob.digest).status == 201
    spec.holds(client, REPOSITORY, blob.digest, blob.data)


@pytest.mark.parametrize("last_in_put", [False, True])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_comes_in_chunk_by_chunk_and_a_wrong_order_is_416(
    client: RegistryClient, last_in_put: bool, algorithm: str
) -> None:
    blob = piece(4 + last_in_put, 3000, algorithm)
    chunks = [blob.data[:1000], blob.data[1000:2000], blob.data[2000:]]
    begun = begin(client, REPOSITORY)
    ahead = patch(client, place_of(begun), chunks[1], 1000)
    is_refused(ahead, 416, "RANGE_INVALID", "BLOB_UPLOAD_INVALID")

    first = patch(client, place_of(begun), chunks[0], 0)
    assert (first.status, first.headers.get("Range")) == (202, "0-999")
    again = patch(client, place_of(begun), chunks[0], 0)
    assert again.status == 416, "a chunk that is here is not taken twice"
    assert again.headers.get("Range") == "0-999", "the client is told where to go on"

    status = client.get(place_of(begun))
    assert (status.status, status.headers.get("Range"), status.body) == (204, "0-999", b"")
    second = patch(client, place_of(status), chunks[1], 1000)
    assert (second.status, second.headers.get("Range")) == (202, "0-1999")
    if last_in_put:
        range_ = [spec.OCTETS, ("Content-Range", "2000-2999")]
        target = spec.with_query(place_of(second), digest=blob.digest)
        done = client.send("PUT", target, fields=range_, body=chunks[2])
    else:
        third = patch(client, place_of(second), chunks[2], 2000)
        assert third.status == 202
        done = finish(client, place_of(third), blob.digest)
    assert done.status == 201, done.text()
    spec.holds(client, REPOSITORY, blob.digest, blob.data)
    assert client.get(place_of(begun)).status == 404, "the upload is over"


def test_a_put_out_of_order_is_416_and_the_upload_lives_on(client: RegistryClient) -> None:
    blob = piece(6, 2000)
    place = place_of(begin(client, REPOSITORY))
    range_ = [spec.OCTETS, ("Content-Range", "1000-1999")]
    target = spec.with_query(place, digest=blob.digest)
    assert client.send("PUT", target, fields=range_, body=blob.data[1000:]).status == 416
    assert patch(client, place, blob.data[:1000], 0).status == 202
    assert client.send("PUT", target, fields=range_, body=blob.data[1000:]).status == 201
    spec.holds(client, REPOSITORY, blob.digest, blob.data)


def test_an_upload_is_cancelled(client: RegistryClient) -> None:
    place = place_of(begin(client, REPOSITORY))
    assert patch(client, place, b"half").status == 202
    assert client.send("DELETE", place).status == 204
    is_refused(client.get(place), 404, "BLOB_UPLOAD_UNKNOWN")
    is_refused(finish(client, place, digest_of(b"half")), 404, "BLOB_UPLOAD_UNKNOWN")
    assert client.blob(REPOSITORY, digest_of(b"half")).status == 404


def test_an_upload_belongs_to_one_repository(client: RegistryClient) -> None:
    place = place_of(begin(client, REPOSITORY)).replace(REPOSITORY, OTHER)
    is_refused(patch(client, place, b"elsewhere"), 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize(
    "digest", [str(spec.ABSENT), "sha256:short", "md5:" + "0" * 32, "sha256:" + "Z" * 64, ""]
)
def test_bytes_under_a_wrong_digest_are_refused_and_nothing_is_stored(
    client: RegistryClient, digest: str
) -> None:
    place = place_of(begin(client, REPOSITORY))
    is_refused(finish(client, place, digest, b"other bytes"), 400, "DIGEST_INVALID")
    target = spec.with_query(UPLOADS, digest=digest)
    posted = client.send("POST", target, fields=[spec.OCTETS], body=b"other bytes")
    is_refused(posted, 400, "DIGEST_INVALID")
    assert client.blob(REPOSITORY, spec.ABSENT).status == 404
    assert client.blob(REPOSITORY, digest_of(b"other bytes")).status == 404


# mounts


def mount(client: RegistryClient, digest: object, **more: object) -> spec.Got:
    target = f"/v2/{OTHER}/blobs/uploads/"
    return client.send("POST", spec.with_query(target, mount=digest, **more))


def test_a_blob_is_mounted_from_a_repository_that_holds_it(client: RegistryClient) -> None:
    blob = piece(11)
    client.push_blob(REPOSITORY, blob.digest, blob.data)
    assert client.blob(OTHER, blob.digest).status == 404, "a digest is no right to its bytes"
    done = mount(client, blob.digest, **{"from": REPOSITORY})
    assert (done.status, place_of(done)) == (201, f"/v2/{OTHER}/blobs/{blob.digest}")
    spec.holds(client, OTHER, blob.digest, blob.data)


@pytest.mark.parametrize(
    "source", [{}, {"from": REPOSITORY}, {"from": "local/none"}, {"from": f"{HOST}/x"}]
)
def test_a_mount_that_cannot_be_done_becomes_an_upload(
    client: RegistryClient, source: dict[str, str]
) -> None:
    begun = mount(client, spec.ABSENT, **source)
    assert begun.status == 202
    assert place_of(begun).startswith(f"/v2/{OTHER}/blobs/uploads/")
    assert finish(client, place_of(begun), digest_of(b"sent"), b"sent").status == 201


def test_a_mount_without_from_becomes_an_upload_even_of_what_is_here(
    client: RegistryClient,
) -> None:
    blob = piece(12)
    client.push_blob(REPOSITORY, blob.digest, blob.data)
    assert mount(client, blob.digest).status == 202


# manifests


def _config_only() -> Image:
    return images.with_layers(images.small(40), ())


def _large() -> Image:
    """Just under 4 MiB, all of it annotations."""
    return _changed({"annotations": {f"large-{n}": "A" * 10_000 for n in range(390)}})


def _changed(more: dict[str, object]) -> Image:
    base = images.small(41)
    content = {**json.loads(base.manifest.data), **more}
    return Image(Piece.of(MANIFEST_TYPE, document(content)), base.blobs)


def _foreign() -> Image:
    """One layer that may not be distributed: it is named, and not here."""
    base = images.small(42)
    content = json.loads(base.manifest.data)
    kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    urls = ["https://store.example.com/layer"]
    gone = {"mediaType": kind, "digest": str(spec.ABSENT), "size": 123, "urls": urls}
    content["layers"] = [gone, *content["layers"]]
    return Image(Piece.of(MANIFEST_TYPE, document(content)), base.blobs)


def _with_data() -> Image:
    """A descriptor that carries its content (image-spec 1.1 "data")."""
    base = images.small(43)
    content = json.loads(base.manifest.data)
    content["config"]["data"] = base64.b64encode(base.blobs[0].data).decode()
    return Image(Piece.of(MANIFEST_TYPE, document(content)), base.blobs)


SHAPES: dict[str, Callable[[], Image]] = {
    "image": images.small,
    "docker-image": images.docker_image,
    "docker-list": images.docker_list,
    "index": images.multi_arch,
    "nested-index": images.nested,
    "empty-index": lambda: index([]),
    "no-layers": _config_only,
    "empty-blob": images.empty_layer,
    "sha512-blobs": lambda: images.small(44, algorithm="sha512"),
    "large": _large,
    "foreign-layer": _foreign,
    "descriptor-with-data": _with_data,
    "unknown-fields": lambda: _changed({"org.example.extra": {"deep": [1, 2.5, None]}}),
    "artifact": lambda: images.signature(images.small(45)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_taken_and_given_back_byte_for_byte(
    client: RegistryClient, shape: str
) -> None:
    image = SHAPES[shape]()
    push(client, REPOSITORY, image, "shape")
    for reference in ("shape", image.digest):
        for method in ("GET", "HEAD"):
            got = client.manifest(REPOSITORY, reference, method=method)
            assert got.status == 200, got.text()
            assert got.headers.get("Docker-Content-Digest") == str(image.digest)
            assert got.headers.get("Content-Type") == image.manifest.media_type
            assert got.headers.get("Content-Length") == str(len(image.manifest.data))
            assert got.body == (image.manifest.data if method == "GET" else b"")


def test_one_manifest_takes_many_tags_and_says_where_it_is(client: RegistryClient) -> None:
    image = images.small(50)
    push(client, REPOSITORY, image)
    for number in range(4):
        done = put_manifest(client, REPOSITORY, f"test{number}", MANIFEST_TYPE, image.manifest.data)
        assert done.status == 201
        assert client.get(place_of(done)).body == image.manifest.data
        assert done.headers.get("Docker-Content-Digest") == str(image.digest)


def test_a_tag_moves_at_once(client: RegistryClient) -> None:
    """The fast way must not remember the old answer."""
    for seed in (51, 52, 51):
        image = images.small(seed)
        push(client, REPOSITORY, image, "moving")
        for _ in range(3):
            assert client.manifest(REPOSITORY, "moving").body == image.manifest.data


def test_a_manifest_is_pushed_by_a_sha512_digest(client: RegistryClient) -> None:
    image = images.small(53)
    push(client, REPOSITORY, image)
    name = digest_of(image.manifest.data, "sha512")
    done = put_manifest(client, REPOSITORY, name, MANIFEST_TYPE, image.manifest.data)
    assert (done.status, done.headers.get("Docker-Content-Digest")) == (201, str(name))
    assert client.manifest(REPOSITORY, name).body == image.manifest.data


def test_a_manifest_of_missing_parts_is_refused(client: RegistryClient) -> None:
    image = images.small(54)
    target = (client, REPOSITORY, "half", MANIFEST_TYPE, image.manifest.data)
    is_refused(put_manifest(*target), 404, "MANIFEST_BLOB_UNKNOWN")
    both = index([image])
    listed = put_manifest(client, REPOSITORY, "half", INDEX_TYPE, both.manifest.data)
    is_refused(listed, 404, "MANIFEST_BLOB_UNKNOWN")
    is_refused(client.manifest(REPOSITORY, "half"), 404, "MANIFEST_UNKNOWN")


LAYER = {"mediaType": LAYER_TYPE, "digest": str(spec.ABSENT), "size": 1}
CONFIG = {"mediaType": CONFIG_TYPE, "digest": str(spec.ABSENT), "size": 1}
BROKEN: dict[str, bytes] = {
    "blank": b"blablabla",
    "empty": b"",
    "list": b"[]",
    "no-version": document({"mediaType": MANIFEST_TYPE, "config": CONFIG, "layers": []}),
    "both": document(
        {
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": CONFIG,
            "layers": [LAYER], "manifests": [LAYER],
        }
    ),
    "bad-digest": document(
        {
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": CONFIG,
            "layers": [{**LAYER, "digest": "sha256:../../etc/passwd"}],
        }
    ),
    "other-type": document(
        {"schemaVersion": 2, "mediaType": INDEX_TYPE, "config": CONFIG, "layers": []}
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_manifest_is_refused_in_the_specs_words(
    client: RegistryClient, kind: str
) -> None:
    got = put_manifest(client, REPOSITORY, "broken", MANIFEST_TYPE, BROKEN[kind])
    is_refused(got, 400, "MANIFEST_INVALID")
    assert client.manifest(REPOSITORY, "broken").status == 404


def test_a_manifest_under_a_digest_that_is_not_its_own_is_refused(client: RegistryClient) -> None:
    image = images.small(55)
    push(client, REPOSITORY, image)
    for name in ("sha256:totallywrong", spec.ABSENT):
        data = image.manifest.data + b"  "
        got = put_manifest(client, REPOSITORY, name, MANIFEST_TYPE, data)
        is_refused(got, 400, "DIGEST_INVALID", "MANIFEST_INVALID")
    named = put_manifest(client, REPOSITORY, image.digest, MANIFEST_TYPE, data)
    is_refused(named, 400, "DIGEST_INVALID")


def test_a_manifest_over_four_mebibytes_is_refused(client: RegistryClient) -> None:
    base = images.small(56)
    push(client, REPOSITORY, base)
    content = {**json.loads(base.manifest.data), "annotations": {"a": "A" * (4 << 20)}}
    got = put_manifest(client, REPOSITORY, "huge", MANIFEST_TYPE, document(content))
    is_refused(got, 413, "MANIFEST_INVALID", "SIZE_INVALID")


# who may


def test_pushing_needs_the_password_and_pulling_does_not(
    node: NodeProcess, client: RegistryClient
) -> None:
    image = images.small(60)
    push(client, REPOSITORY, image, "open")
    for stranger in (
        RegistryClient(node.registry),
        RegistryClient(node.registry, user=USER, password="wrong"),
        RegistryClient(node.registry, user="nobody", password=PASSWORD),
    ):
        place = place_of(begin(client, REPOSITORY))
        for got in (
            stranger.send("POST", UPLOADS),
            patch(stranger, place, b"x"),
            finish(stranger, place, digest_of(b"x"), b"x"),
            put_manifest(stranger, REPOSITORY, "open", MANIFEST_TYPE, image.manifest.data),
            stranger.send("DELETE", f"/v2/{REPOSITORY}/manifests/open"),
            stranger.send("DELETE", f"/v2/{REPOSITORY}/blobs/{image.blobs[0].digest}"),
        ):
            is_refused(got, 401, "UNAUTHORIZED")
            offered = [each.partition(" ")[0] for each in got.headers.all("WWW-Authenticate")]
            assert offered == ["Bearer", "Basic"]
    anonymous = RegistryClient(node.registry)
    assert anonymous.manifest(REPOSITORY, "open").body == image.manifest.data
    # Where somebody is known, clients learn here where to log in (docker asks nowhere else).
    greeted = anonymous.get("/v2/")
    assert greeted.status == 401
    assert greeted.headers.joined("WWW-Authenticate").startswith("Bearer realm=")
    assert client.get("/v2/").status == 200
