"""Every shape of image a registry may hold: pulled once, then for ever, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from skerry.app.drill import wan as link
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import Image, push
from tests.rig import images, nodes
from tests.rig.nodes import HOST
from tests.rig.processes import Rig, Service

SHAPES: dict[str, Callable[[], Image]] = {
    "multi-arch": images.multi_arch,
    "docker-list": images.docker_list,
    "docker-schema2": images.docker_image,
    "nested-index": images.nested,
    "zero-byte-blob": images.empty_layer,
    "sha512-blobs": lambda: images.small(21, algorithm="sha512"),
    "artifact": lambda: images.signature(images.small(22)),
}


@pytest.fixture(scope="module")
def upstream(shared: Rig) -> Service:
    """A registry with one repository per shape."""
    service = shared.registry()
    for name, build in SHAPES.items():
        push(service.client(), f"shapes/{name}", build(), "1")
    return service


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_is_pulled_exactly_and_again_after_a_crash_while_cut_off(
    rig: Rig, upstream: Service, name: str
) -> None:
    wan = rig.wan(upstream.authority)
    node = rig.node(nodes.settings(f"http://127.0.0.1:{wan.port}", window="1ms"))
    client, image = RegistryClient(node.registry), SHAPES[name]()
    _is_exact(client, f"{HOST}/shapes/{name}", image, "1")
    node.wait_until_stored()
    rig.run(wan.switch(link.REFUSE))
    _is_exact(client, f"{HOST}/shapes/{name}", image, "1")
    node.restart()
    _is_exact(client, f"{HOST}/shapes/{name}", image, "1")


def test_skopeo_copies_every_platform_of_a_warmed_index_with_the_upstream_gone(
    rig: Rig, upstream: Service
) -> None:
    wan = rig.wan(upstream.authority)
    node = rig.node(nodes.settings(f"http://127.0.0.1:{wan.port}", window="1ms"))
    for name in ("multi-arch", "docker-list"):
        source = f"docker://{node.registry}/{HOST}/shapes/{name}:1"
        for mode in (link.PASS, link.REFUSE):
            rig.run(wan.switch(mode))
            target = f"oci:{rig.place('copy')}:x"
            copied = rig.skopeo(
                "copy", "-q", "--all", "--preserve-digests" if name == "multi-arch" else "-q",
                "--src-tls-verify=false", source, target,
            )  # fmt: skip
            assert copied.returncode == 0, copied.stderr
        rig.run(wan.switch(link.PASS))


def test_what_signs_an_image_travels_with_it_unasked(rig: Rig, upstream: Service) -> None:
    """Referrers by their fallback tag and cosign's tags: the upstream knows no referrers API."""
    subject = images.small(31)
    cosign, attached = images.cosign_signature(subject, 32), images.signature(subject, 33)
    client = upstream.client()
    push(client, "signed/app", subject, "1")
    push(client, "signed/app", cosign, images.cosign_tag(subject))
    push(client, "signed/app", attached)
    fallback = images.referrers_index([attached])
    push(client, "signed/app", fallback, f"sha256-{subject.digest.hex}")
    wan = rig.wan(upstream.authority)
    node = rig.node(nodes.settings(f"http://127.0.0.1:{wan.port}"))
    here = RegistryClient(node.registry)

    _is_exact(here, f"{HOST}/signed/app", subject, "1")
    rig.settle(wan)
    rig.run(wan.switch(link.REFUSE))

    _is_exact(here, f"{HOST}/signed/app", cosign, images.cosign_tag(subject))
    found = here.get(f"/v2/{HOST}/signed/app/referrers/{subject.digest}")
    assert found.status == 200
    (entry,) = json.loads(found.body)["manifests"]
    assert entry["digest"] == str(attached.digest)
    assert entry["artifactType"] == "application/vnd.skerry.test.signature"
    _is_exact(here, f"{HOST}/signed/app", attached)


def _is_exact(client: RegistryClient, repository: str, image: Image, tag: str = "") -> None:
    reference = tag or str(image.digest)
    got = client.manifest(repository, reference)
    assert (got.status, got.body) == (200, image.manifest.data), f"{got.status} {got.text()}"
    assert got.headers.get("Content-Type") == image.manifest.media_type
    assert got.headers.get("Docker-Content-Digest") == str(image.digest)
    for child in image.children:
        _is_exact(client, repository, child)
    for blob in image.blobs:
        found = client.blob(repository, blob.digest)
        assert (found.status, found.body) == (200, blob.data), f"{blob.digest} {found.text()}"
