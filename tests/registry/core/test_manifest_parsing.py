"""Reading a manifest without trusting it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.digest import Digest, digest_of
from skerry.registry.core.manifests import (
    ANNOTATIONS_BYTES_MAX,
    DESCRIPTOR_SIZE_BYTES_MAX,
    DESCRIPTORS_MAX,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MANIFEST_BYTES_MAX,
    MEDIA_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    InvalidManifest,
    parse_manifest,
)
from skerry.registry.ports import Link, Manifest

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def digest(name: str) -> str:
    return str(digest_of(name.encode()))


def descriptor(name: str, media_type: str = LAYER_TYPE, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(name), "size": 7, **more}


def image(**more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor("config", CONFIG_TYPE),
        "layers": [descriptor("layer")],
        **more,
    }


def index(*children: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(children), **more}


def read(document: Any, content_type: str | None = None) -> Manifest:
    return parse_manifest(json.dumps(document).encode(), content_type)


def without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


def test_an_image_says_its_config_and_layers_in_order() -> None:
    data = json.dumps(image(annotations={"b": "2", "a": "1"})).encode()
    found = parse_manifest(data, OCI_MANIFEST)
    assert found == Manifest(
        digest=digest_of(data),
        media_type=OCI_MANIFEST,
        size_bytes=len(data),
        links=(
            Link(digest_of(b"config"), "config", CONFIG_TYPE, 7),
            Link(digest_of(b"layer"), "layer", LAYER_TYPE, 7),
        ),
        artifact_type=CONFIG_TYPE,
        annotations=(("b", "2"), ("a", "1")),
    )


def test_an_index_says_its_children_and_their_platforms() -> None:
    found = read(
        index(
            descriptor("a", OCI_MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
            descriptor(
                "b",
                OCI_MANIFEST,
                platform={"os": "linux", "architecture": "arm", "variant": "v7"},
            ),
            descriptor("c", OCI_INDEX),
        )
    )
    assert [link.platform for link in found.links] == ["linux/amd64", "linux/arm/v7", ""]
    assert {link.kind for link in found.links} == {"manifest"}


def test_the_entries_of_a_build_cache_are_blobs() -> None:
    found = read(index(descriptor("a"), descriptor("b", "application/vnd.buildkit.cacheconfig.v0")))
    assert [link.kind for link in found.links] == ["layer", "layer"]


@pytest.mark.parametrize("media_type", [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX])
def test_t21_docker_and_oci_documents_keep_their_type_and_digest(media_type: str) -> None:
    is_index = media_type in (DOCKER_LIST, OCI_INDEX)
    document = index(descriptor("a", DOCKER_MANIFEST)) if is_index else image()
    data = json.dumps({**document, "mediaType": media_type}, indent=3).encode()
    found = parse_manifest(data, f"{media_type}; charset=utf-8")
    assert (found.media_type, found.digest) == (media_type, digest_of(data))


def test_a_type_that_nobody_says_is_read_from_the_shape() -> None:
    assert read(without(image(), "mediaType")).media_type == OCI_MANIFEST
    assert read(without(index(), "mediaType"), "application/json").media_type == OCI_INDEX
    assert read(without(image(), "mediaType"), DOCKER_MANIFEST).media_type == DOCKER_MANIFEST


def test_an_artifact_says_its_subject_and_type() -> None:
    subject = descriptor("subject", OCI_MANIFEST)
    found = read(image(subject=subject, artifactType="application/x-sbom"))
    assert (found.subject, found.artifact_type) == (digest_of(b"subject"), "application/x-sbom")
    assert read(image(subject=subject)).artifact_type == CONFIG_TYPE
    assert read(index(subject=subject, artifactType="application/x")).subject is not None


def test_foreign_layers_are_marked_and_their_urls_are_not_kept() -> None:
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    layers = [
        descriptor("a", foreign),
        descriptor("b", "application/vnd.oci.image.layer.nondistributable.v1.tar"),
        descriptor("c", urls=["http://169.254.169.254/"]),
        descriptor("d", urls=[]),
    ]
    found = read(image(layers=layers))
    assert [link.foreign for link in found.links] == [False, True, True, True, False]


def test_null_where_go_writes_an_empty_list_is_one() -> None:
    assert len(read(image(layers=None)).links) == 1
    assert read(index(manifests=None)).links == ()


def test_t12_a_manifest_is_known_by_the_digest_it_was_proven_to_have() -> None:
    data = json.dumps(image()).encode()
    proven = digest_of(data, "sha512")
    assert parse_manifest(data, None, digest=proven).digest == proven
    assert parse_manifest(data, None).digest == digest_of(data)


@pytest.mark.parametrize(
    ("document", "content_type", "why"),
    [
        ({**image(), "manifests": []}, None, "two ways"),
        ({**index(), "layers": []}, None, "two ways"),
        ({**index(), "config": {}}, None, "two ways"),
        ({**without(image(), "mediaType"), "manifests": []}, None, "two ways"),
        (image(), OCI_INDEX, "came as"),
        (index(), OCI_MANIFEST, "came as"),
        (image(), "text/html", "came as"),
        (without(image(), "mediaType"), "text/html", "not a manifest's"),
        (image(mediaType="application/x"), None, "not a manifest's"),
        ({"schemaVersion": 1, "fsLayers": []}, None, "schemaVersion"),
        (image(schemaVersion=1), None, "schemaVersion"),
        (image(), "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        (image(mediaType="application/vnd.docker.distribution.manifest.v1+json"), None, "schema 1"),
        ({**image(), "fsLayers": []}, None, "two ways"),
    ],
)
def test_t20_what_can_be_read_in_two_ways_is_refused(
    document: Any, content_type: str | None, why: str
) -> None:
    with pytest.raises(InvalidManifest, match=why):
        read(document, content_type)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b"<html>",
        b'{"schemaVersion":2}',
        json.dumps(image()).encode() + b"x",
        json.dumps(image()).encode() * 2,
        b'{"schemaVersion":2,"schemaVersion":2,"config":{},"layers":[]}',
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        "\ufeff{}".encode(),
        b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"schemaVersion":' + b"9" * 10_000 + b"}",
        b" " * (MANIFEST_BYTES_MAX + 1),
    ],
    ids=str,
)
def test_t22_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidManifest):
        parse_manifest(data, OCI_MANIFEST)


@pytest.mark.parametrize(
    "broken",
    [
        {"size": -1},
        {"size": DESCRIPTOR_SIZE_BYTES_MAX + 1},
        {"size": 1.5},
        {"size": True},
        {"size": "7"},
        {"size": None},
        {"digest": "sha256:../../etc/passwd"},
        {"digest": f"sha256:{'A' * 64}"},
        {"digest": None},
        {"mediaType": 7},
        {"mediaType": "no type"},
        {"mediaType": "a/" + "b" * 300},
        {"urls": "http://x"},
    ],
    ids=str,
)
def test_t22_a_descriptor_out_of_bounds_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifest):
        read(image(layers=[descriptor("a", **broken)]))
    with pytest.raises(InvalidManifest):
        read(image(config=descriptor("a", **broken)))


def test_t20_a_key_given_twice_is_refused_however_deep() -> None:
    sound = json.dumps(image()).encode()
    assert parse_manifest(sound, None)
    size = b'"size": 7'
    for twice in (
        sound.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "schemaVersion": 2'),
        sound.replace(size, size + b", " + size, 1),
    ):
        with pytest.raises(InvalidManifest, match="twice"):
            parse_manifest(twice, None)


def test_t22_floods_are_refused() -> None:
    many = [descriptor(str(number)) for number in range(DESCRIPTORS_MAX + 1)]
    assert len(read(image(layers=many[:-1])).links) == DESCRIPTORS_MAX + 1
    with pytest.raises(InvalidManifest, match="entries"):
        read(image(layers=many))
    with pytest.raises(InvalidManifest, match="entries"):
        read(index(*many))


def test_t22_a_flood_of_annotations_is_served_and_not_kept() -> None:
    for flood in ({"a": "b" * ANNOTATIONS_BYTES_MAX}, {str(number): "" for number in range(2000)}):
        assert read(image(annotations=flood)).annotations == ()
    assert read(image(annotations={"a": "b" * 1000})).annotations == (("a", "b" * 1000),)


@pytest.mark.parametrize(
    "more",
    [
        {"annotations": {"a": 1}},
        {"annotations": []},
        {"annotations": {"a": "\ud800"}},
        {"subject": "sha256:x"},
        {"subject": {}},
        {"artifactType": 5},
        {"config": None},
        {"config": []},
        {"layers": {}},
        {"layers": ["x"]},
    ],
    ids=str,
)
def test_fields_of_the_wrong_kind_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifest):
        read(image(**more))


def test_a_platform_that_is_no_platform_is_refused() -> None:
    for platform in ("linux", {"os": 5}, {"os": "x" * 100, "architecture": "y"}):
        with pytest.raises(InvalidManifest):
            read(index(descriptor("a", OCI_MANIFEST, platform=platform)))
    assert read(index(descriptor("a", OCI_MANIFEST, platform={}))).links[0].platform == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size"]
            )
            | st.text(max_size=4),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, *MEDIA_TYPES]))
def test_any_json_is_a_bounded_manifest_or_refused(document: Any, content_type: str | None) -> None:
    try:
        found = read(document, content_type)
    except InvalidManifest:
        return
    assert found.media_type in MEDIA_TYPES
    assert all(0 <= link.size_bytes <= DESCRIPTOR_SIZE_BYTES_MAX for link in found.links)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_refused(data: bytes) -> None:
    with pytest.raises(InvalidManifest):
        parse_manifest(data, None)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=4), st.integers(0, 1 << 40)), max_size=20))
def test_every_layer_comes_back_as_it_was_said(layers: list[tuple[bytes, int]]) -> None:
    found = read(
        image(
            layers=[{**descriptor("x"), "digest": str(digest_of(n)), "size": s} for n, s in layers]
        )
    )
    said = [(link.child, link.size_bytes) for link in found.links[1:]]
    assert said == [(digest_of(name), size) for name, size in layers]
    assert all(isinstance(link.child, Digest) for link in found.links)
