"""A signature that is attached to an image: as its format's tools do, and so that it counts."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skerry.app.drill.images import image, noise
from skerry.app.trust.signing_formats import Signer
from skerry.app.trust.signing_keys import Kind, certify, load, make
from skerry.base.digest import Digest
from skerry.base.errors import BadInput, SkerryError
from skerry.registry.core.manifests import parse_manifest
from skerry.registry.ports import LOCAL, Repository, Tag
from skerry.registry.signing import Signing
from skerry.trust.core.policies import Policies, Rule
from skerry.trust.core.threshold import Format, TrustedKey, policy
from tests.registry.world import World

IMAGE = image([{"bin/a": noise(21, 2000)}])
NAME = "local/app"
HERE = Repository(LOCAL, NAME)
REFERENCE = f"{NAME}:1"
EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@dataclass
class Stand:
    folder: Path
    formats: tuple[Format, ...] = tuple(Format)
    signers: dict[str, Path] = field(default_factory=dict)

    async def open(self) -> None:
        keys = []
        authorities = []
        for name in ("ann", "bob"):
            file = self.folder / f"{name}.key"
            public = make(file, Kind.ECDSA, b"")
            chain = certify(
                self.folder / f"{name}.crt", load(file, b""), name, now=1_700_000_000.0, days=30
            )
            keys += [TrustedKey(public, name), TrustedKey(public, name, authority=True)]
            authorities.append(chain)
        asked = policy("prod", threshold=2, keys=keys, formats=self.formats)
        rule = Rule(("local/*",), asked, tuple(authorities))
        self.world = World(policies=Policies((rule,)))
        for blob in IMAGE.blobs:
            await self.world.store.put(blob.digest, blob.data)
            await self.world.catalog.put_member(HERE, blob.digest, "blob", now=1.0)
        body = IMAGE.manifest.data
        await self.world.store.put(IMAGE.digest, body)
        await self.world.catalog.put_manifest(
            HERE, parse_manifest(body, IMAGE.manifest.media_type), now=1.0
        )
        await self.world.catalog.put_tag(Tag(HERE, "1", IMAGE.digest, 1.0, 1.0))
        self.signing = Signing(
            images=self.world.rooms.images,
            verdicts=self.world.rooms.verdicts,
            catalog=self.world.catalog,
            store=self.world.store,
            clock=self.world.clock,
            changed=lambda: None,
        )

    async def sign(self, kind: Format, who: str, reference: str = REFERENCE) -> Digest:
        chain = self.folder / f"{who}.crt" if kind is Format.NOTATION else None
        signer = Signer.of(kind, self.folder / f"{who}.key", b"", chain)
        held = await self.signing.verify(reference)
        made = signer.signed(held, repository=NAME, at=self.world.clock.now())
        text = base64.b64encode(made.signature).decode()
        done = await self.signing.attach(reference, kind, made.payload, text)
        assert done.format == kind
        return Digest.parse(done.attached)

    async def status(self) -> int:
        return (await self.world.get(f"/v2/{NAME}/manifests/1")).status

    async def document(self, digest: Digest) -> dict[str, object]:
        answer = await self.world.get(f"/v2/{NAME}/manifests/{digest}")
        assert answer.status == 200
        assert isinstance(answer.body, bytes)
        return json.loads(answer.body)  # type: ignore[no-any-return]

    async def referrers(self) -> list[dict[str, object]]:
        answer = await self.world.get(f"/v2/{NAME}/referrers/{IMAGE.digest}")
        assert isinstance(answer.body, bytes)
        return json.loads(answer.body)["manifests"]  # type: ignore[no-any-return]


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    made = Stand(tmp_path)
    await made.open()
    yield made
    await made.world.close()


@pytest.mark.parametrize("kind", list(Format))
async def test_two_signatures_of_a_format_open_an_image_and_one_does_not(
    stand: Stand, kind: Format
) -> None:
    assert await stand.status() == 403
    await stand.sign(kind, "ann")
    await stand.sign(kind, "ann")
    assert await stand.status() == 403
    await stand.sign(kind, "bob")
    assert await stand.status() == 200
    report = await stand.signing.verify(REFERENCE)
    assert {each.owner for each in report.signers} == {"ann", "bob"}


async def test_a_format_each_is_enough_and_one_owner_in_all_three_is_not(stand: Stand) -> None:
    for kind in Format:
        await stand.sign(kind, "ann")
    assert await stand.status() == 403
    await stand.sign(Format.NOTATION, "bob")
    assert await stand.status() == 200


async def opened(stand: Stand) -> None:
    for who in ("ann", "bob"):
        await stand.sign(Format.BUNDLE, who)


async def test_a_bundle_is_attached_as_cosign_attaches_it(stand: Stand) -> None:
    await opened(stand)
    attached = await stand.sign(Format.BUNDLE, "ann")
    document = await stand.document(attached)
    annotations = document.pop("annotations")
    assert isinstance(annotations, dict)
    assert annotations == {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
    }
    [layer] = document.pop("layers")  # type: ignore[misc]
    assert layer["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert document == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY, "size": 2},
        "subject": {
            "mediaType": IMAGE.manifest.media_type,
            "digest": str(IMAGE.digest),
            "size": len(IMAGE.manifest.data),
        },
    }
    listed = [each for each in await stand.referrers() if each["digest"] == str(attached)]
    assert listed[0]["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert listed[0]["annotations"] == annotations


async def test_an_envelope_is_attached_as_notation_attaches_it(stand: Stand) -> None:
    await opened(stand)
    attached = await stand.sign(Format.NOTATION, "ann")
    document = await stand.document(attached)
    [layer] = document.pop("layers")  # type: ignore[misc]
    assert layer["mediaType"] == "application/jose+json"
    annotations = document.pop("annotations")
    assert isinstance(annotations, dict)
    [(name, prints)] = annotations.items()
    assert name == "io.cncf.notary.x509chain.thumbprint#S256"
    assert [len(each) for each in json.loads(prints)] == [64]
    assert document == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.cncf.notary.signature",
            "digest": EMPTY,
            "size": 2,
        },
        "subject": {
            "mediaType": IMAGE.manifest.media_type,
            "digest": str(IMAGE.digest),
            "size": len(IMAGE.manifest.data),
        },
    }
    listed = [each for each in await stand.referrers() if each["digest"] == str(attached)]
    assert listed[0]["artifactType"] == "application/vnd.cncf.notary.signature"


async def test_cosigns_signature_is_under_its_tag_and_a_referrer_too(stand: Stand) -> None:
    await opened(stand)
    for who in ("ann", "bob"):
        attached = await stand.sign(Format.COSIGN, who)
    answer = await stand.world.get(f"/v2/{NAME}/manifests/sha256-{IMAGE.digest.hex}.sig")
    assert answer.status == 200
    assert isinstance(answer.body, bytes)
    tagged = json.loads(answer.body)
    assert tagged["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert len(tagged["layers"]) == 2
    assert "subject" not in tagged
    document = await stand.document(attached)
    assert document["config"]["mediaType"] == "application/vnd.dev.cosign.artifact.sig.v1+json"  # type: ignore[index]
    [layer] = document["layers"]  # type: ignore[misc]
    assert layer == tagged["layers"][1]
    assert set(layer["annotations"]) == {"dev.cosignproject.cosign/signature"}
    kinds = [each["artifactType"] for each in await stand.referrers()]
    assert kinds.count("application/vnd.dev.cosign.artifact.sig.v1+json") == 2


async def test_a_signature_of_another_image_is_attached_to_none(stand: Stand) -> None:
    held = await stand.signing.verify(REFERENCE)
    other = Digest("sha256", "5" * 64)
    for kind in Format:
        chain = stand.folder / "ann.crt" if kind is Format.NOTATION else None
        signer = Signer.of(kind, stand.folder / "ann.key", b"", chain)
        from dataclasses import replace

        wrong = signer.signed(
            replace(held, digest=str(other)), repository=NAME, at=stand.world.clock.now()
        )
        with pytest.raises(BadInput, match="is not of"):
            await stand.signing.attach(REFERENCE, kind, wrong.payload, "AAAA")
    assert await stand.referrers() == []


async def test_an_image_takes_no_more_signatures_than_are_read(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skerry.registry.signing.LAYERS_MAX", 2)
    for _ in range(2):
        stand.world.clock.advance(1)
        await stand.sign(Format.BUNDLE, "ann")
    stand.world.clock.advance(1)
    with pytest.raises(SkerryError, match="2 signatures already"):
        await stand.sign(Format.BUNDLE, "ann")


@pytest.mark.parametrize(
    ("method", "what", "named", "status"),
    [
        ("HEAD", "blob", False, 404),
        ("HEAD", "manifest", True, 404),
        ("HEAD", "manifest", False, 403),
        ("GET", "blob", True, 403),
        ("GET", "manifest", True, 403),
    ],
)
async def test_who_is_about_to_push_is_told_that_what_is_held_back_is_not_there(
    stand: Stand, method: str, what: str, named: bool, status: int
) -> None:
    # Docker, containerd and skopeo end a push at any answer to HEAD but 200 and 404.
    layer = IMAGE.blobs[1].digest
    path = f"/v2/{NAME}/blobs/{layer}" if what == "blob" else f"/v2/{NAME}/manifests/1"
    fields = {"Authorization": "Basic bWU6c2VjcmV0"} if named else {}
    assert (await stand.world.get(path, method=method, **fields)).status == status
