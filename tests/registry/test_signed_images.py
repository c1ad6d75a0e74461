"""What a policy asks for is asked on every way by which bytes leave a repository."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from skerry.app.drill.images import (
    CONFIG_TYPE,
    MANIFEST_TYPE,
    Image,
    Piece,
    artifact,
    document,
    image,
    index,
    noise,
)
from skerry.base.digest import Digest
from skerry.registry.verdicts import REFUSED_SECONDS
from skerry.store.ports import StoreError
from skerry.trust.core import bundle, cosign
from skerry.trust.core.artifacts import SignatureBlob, layers_of
from skerry.trust.core.policies import Policies, Rule
from skerry.trust.core.threshold import Format, TrustedKey, policy
from skerry.upstream.ports import Exchange, Trouble
from skerry.wire.message import Headers
from tests.registry.world import WINDOW_SECONDS, FakeExchange, World
from tests.trust.core.signed import bundle_of, ec_key, public, sign, statement_of

NAME, REPOSITORY = "up.test/team/app", "up.test/team/app"
IMAGE = image([{"bin/a": noise(21, 20_000)}])
OTHER = image([{"bin/a": noise(22, 20_000)}])
ANN, BOB, EVE = ec_key(), ec_key(), ec_key()
PRIVATE = ec.EllipticCurvePrivateKey


def rule(*, threshold: int = 1, critical: bool = True, revoked: bool = False) -> Rule:
    keys = (TrustedKey(public(ANN), "ann", revoked=revoked), TrustedKey(public(BOB), "bob"))
    asked = policy("prod", threshold=threshold, keys=keys, critical=critical)
    return Rule((REPOSITORY,), asked)


def signature(subject: Digest, *signers: PRIVATE) -> Image:
    """What cosign keeps under the `.sig` tag of an image."""
    payload = cosign.payload_of(subject, reference=NAME)
    piece = Piece.of(cosign.PAYLOAD_TYPE, payload)
    blobs = [
        SignatureBlob(Format.COSIGN, piece.digest, encoded(sign(each, payload))) for each in signers
    ]
    config = Piece.of(CONFIG_TYPE, b"{}")
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor(),
        "layers": layers_of(blobs, [len(payload)] * len(blobs)),
    }
    return Image(Piece.of(MANIFEST_TYPE, document(content)), (config, piece))


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def tag_of(digest: Digest) -> str:
    return f"sha256-{digest.hex}.sig"


@dataclass
class Stand:
    world: World

    async def status(self, reference: str | Digest, *, method: str = "GET") -> int:
        path = f"/v2/{NAME}/manifests/{reference}"
        return (await self.world.get(path, method=method)).status

    async def blob(self, digest: Digest, **fields: str) -> int:
        return (await self.world.get(f"/v2/{NAME}/blobs/{digest}", **fields)).status

    def push(self, what: Image, tag: str = "") -> None:
        self.world.up.push("team/app", what, tag)

    def sign(self, what: Image, *signers: PRIVATE, subject: Digest | None = None) -> None:
        self.push(signature(subject or what.digest, *signers), tag_of(what.digest))


def stand_with(*rules: Rule) -> Stand:
    return Stand(World(companions=True, policies=Policies(rules)))


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    made = stand_with(rule())
    made.push(IMAGE, "1")
    yield made
    await made.world.settle()
    await made.world.close()


async def test_a_signed_image_is_pulled_as_ever_and_with_nobody_upstream(stand: Stand) -> None:
    stand.sign(IMAGE, ANN)
    assert set(await stand.world.pull(NAME, IMAGE, "1")) == {200}
    await stand.world.settle()
    stand.world.up.down = Trouble.REFUSED
    assert set(await stand.world.pull(NAME, IMAGE)) == {200}
    assert await stand.status(tag_of(IMAGE.digest)) == 200


async def test_t43_an_unsigned_image_leaves_by_no_way(stand: Stand) -> None:
    config, layer = IMAGE.blobs
    for method in ("GET", "HEAD"):
        assert await stand.status("1", method=method) == 403
        assert await stand.status(IMAGE.digest, method=method) == 403
    assert await stand.blob(layer.digest) == 403
    assert await stand.blob(layer.digest, Range="bytes=0-9") == 403
    assert await stand.blob(config.digest) == 403
    assert 'skerry_trust_judged_total{outcome="refused"} 1' in stand.world.metrics.expose()


async def test_the_refusal_says_what_is_missing(stand: Stand) -> None:
    answer = await stand.world.get(f"/v2/{NAME}/manifests/1")
    assert isinstance(answer.body, bytes)
    text = answer.body.decode()
    assert "DENIED" in text
    assert "policy prod" in text
    assert "signatures of 1 more owners are missing" in text


async def test_a_repository_without_a_policy_is_asked_nothing() -> None:
    stand = stand_with(Rule(("other/*",), rule().policy))
    stand.push(IMAGE, "1")
    assert set(await stand.world.pull(NAME, IMAGE, "1")) == {200}
    await stand.world.settle()
    await stand.world.close()


@pytest.mark.parametrize(
    ("signers", "threshold", "status"),
    [
        ((ANN,), 1, 200),
        ((EVE,), 1, 403),
        ((ANN, ANN), 2, 403),
        ((ANN, EVE), 2, 403),
        ((ANN, BOB), 2, 200),
    ],
    ids=["a", "e", "a+a", "a+e", "a+b"],
)
async def test_enough_of_the_right_owners_open_it(
    signers: tuple[PRIVATE, ...], threshold: int, status: int
) -> None:
    stand = stand_with(rule(threshold=threshold))
    stand.push(IMAGE, "1")
    stand.sign(IMAGE, *signers)
    assert await stand.status("1") == status
    await stand.world.settle()
    await stand.world.close()


async def test_t42_a_signature_of_another_digest_opens_nothing(stand: Stand) -> None:
    stand.sign(IMAGE, ANN, subject=OTHER.digest)
    assert await stand.status("1") == 403


async def test_a_bundle_that_is_attached_opens_it(stand: Stand) -> None:
    statement = statement_of(IMAGE.digest)
    message = bundle.pre_authentication(bundle.STATEMENT_TYPE, statement)
    made = bundle_of(statement, sign(BOB, message), hint="bob")
    empty, layer = Piece.of(CONFIG_TYPE, b"{}"), Piece.of(bundle.BUNDLE_TYPE, made)
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": bundle.BUNDLE_TYPE,
        "config": empty.descriptor(),
        "layers": [layer.descriptor()],
        "subject": IMAGE.manifest.descriptor(),
    }
    attached = Image(Piece.of(MANIFEST_TYPE, document(content)), (empty, layer))
    stand.push(attached)
    # The fallback tag, as pushed to a registry without the referrers API.
    listing = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [attached.manifest.descriptor(artifactType=bundle.BUNDLE_TYPE)],
    }
    piece = Piece.of("application/vnd.oci.image.index.v1+json", document(listing))
    stand.push(Image(piece), f"sha256-{IMAGE.digest.hex}")
    assert await stand.status("1") == 200


async def test_a_signed_index_covers_its_children_and_no_others(stand: Stand) -> None:
    child = image([{"bin/c": noise(31, 5000)}])
    whole = index([child])
    swapped = index([OTHER])
    for each, tag in ((whole, "multi"), (swapped, "swapped")):
        stand.push(each, tag)
    stand.sign(whole, ANN)
    assert await stand.status(child.digest) == 403  # nobody knows yet what lists it
    assert set(await stand.world.pull(NAME, whole, "multi")) == {200}
    assert await stand.status("swapped") == 403
    assert await stand.status(OTHER.digest) == 403


async def test_another_image_attached_to_a_signed_one_is_no_part_of_it(stand: Stand) -> None:
    stand.sign(IMAGE, ANN)
    assert await stand.status("1") == 200
    config, layer = OTHER.blobs
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
        "subject": IMAGE.manifest.descriptor(),
    }
    smuggled = Image(Piece.of(MANIFEST_TYPE, document(content)), (config, layer))
    stand.push(smuggled)
    assert await stand.status(smuggled.digest) == 403
    assert await stand.blob(layer.digest) == 403
    sbom = artifact(IMAGE, "application/spdx+json", b"an SBOM")
    stand.push(sbom)
    assert await stand.status(sbom.digest) == 200


async def test_what_is_signed_later_is_served_a_moment_later(stand: Stand) -> None:
    assert await stand.status("1") == 403
    stand.sign(IMAGE, ANN)
    assert await stand.status("1") == 403  # not judged again for so long
    stand.world.clock.advance(REFUSED_SECONDS + 20)
    assert await stand.status("1") == 200


async def test_a_tag_that_moves_to_an_unsigned_image_goes_on_with_the_signed_one(
    stand: Stand,
) -> None:
    stand.sign(IMAGE, ANN)
    await stand.world.pull(NAME, IMAGE, "1")
    await stand.world.settle()
    stand.push(OTHER, "1")
    for _ in range(3):
        stand.world.clock.advance(WINDOW_SECONDS + 1)
        answer = await stand.world.get(f"/v2/{NAME}/manifests/1")
        assert answer.headers.get("Docker-Content-Digest") == str(IMAGE.digest)
        await stand.world.settle()
    assert await stand.status(OTHER.digest) == 403
    stand.sign(OTHER, BOB)
    stand.world.clock.advance(WINDOW_SECONDS + 1000)
    await stand.status("1")
    await stand.world.settle()
    answer = await stand.world.get(f"/v2/{NAME}/manifests/1")
    assert answer.headers.get("Docker-Content-Digest") == str(OTHER.digest)


async def test_a_tag_does_not_go_back_to_an_older_signed_image(stand: Stand) -> None:
    for each in (IMAGE, OTHER):
        stand.sign(each, ANN)
    await stand.world.pull(NAME, IMAGE, "1")
    await stand.world.settle()
    for upstream, served in ((OTHER, OTHER), (IMAGE, OTHER)):
        stand.push(upstream, "1")
        for _ in range(2):
            stand.world.clock.advance(WINDOW_SECONDS + 1)
            await stand.status("1")
            await stand.world.settle()
        answer = await stand.world.get(f"/v2/{NAME}/manifests/1")
        assert answer.headers.get("Docker-Content-Digest") == str(served.digest)
    assert await stand.status(IMAGE.digest) == 200  # by its digest it is what it was


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503])
async def test_t31_no_status_in_place_of_signatures_opens_anything(
    stand: Stand, status: int
) -> None:
    """A limiter's answer above all: "too many requests" is no yes."""
    stand.sign(IMAGE, ANN)
    honest = stand.world.up.send

    async def send(method: str, url: str, *rest: object, **more: object) -> Exchange:
        if ".sig" in url or "/referrers/" in url:
            return FakeExchange(status, Headers(), b"")
        return await honest(method, url, *rest, **more)  # type: ignore[arg-type]

    stand.world.up.send = send  # type: ignore[method-assign]
    for reference in ("1", IMAGE.digest):
        for method in ("GET", "HEAD"):
            assert await stand.status(reference, method=method) in (403, 503)
    assert await stand.blob(IMAGE.blobs[-1].digest) in (403, 503)
    stand.world.up.send = honest  # type: ignore[method-assign]
    stand.world.clock.advance(120)
    assert await stand.status("1") == 200, "once they can be had"


async def test_t40_a_disk_that_does_not_answer_is_no_verdict(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.sign(IMAGE, ANN)
    await stand.world.pull(NAME, IMAGE, "1")
    await stand.world.settle()
    asked = len(stand.world.up.asked)
    stand.world.rooms.verdicts.forget_refusals()
    monkeypatch.setattr(stand.world.book, "admitted", lambda version, digest: None)

    async def broken(digest: Digest, *, bytes_max: int) -> bytes:
        raise StoreError("reading: input/output error", next_step="look at the disk")

    monkeypatch.setattr(stand.world.store, "read", broken)
    answer = await stand.world.get(f"/v2/{NAME}/blobs/{IMAGE.blobs[-1].digest}")
    assert answer.status == 503
    assert answer.headers.get("Retry-After")
    assert len(stand.world.up.asked) == asked, "nor a reason to fetch them elsewhere"


async def test_t31_signatures_that_cannot_be_fetched_open_nothing(stand: Stand) -> None:
    stand.sign(IMAGE, ANN)
    stand.world.up.lie[f"/v2/team/app/manifests/{tag_of(IMAGE.digest)}"] = b"x"
    answer = await stand.world.get(f"/v2/{NAME}/manifests/1")
    assert answer.status == 503
    assert answer.headers.get("Retry-After")


@pytest.mark.parametrize(("critical", "status"), [(True, 503), (False, 200)])
async def test_an_earlier_yes_stands_where_the_policy_is_not_critical(
    critical: bool, status: int
) -> None:
    before = stand_with(rule(critical=critical))
    before.push(IMAGE, "1")
    before.sign(IMAGE, ANN)
    await before.world.pull(NAME, IMAGE, "1")
    await before.world.settle()
    verdict = before.world.book.ever_admitted("prod", IMAGE.digest)
    assert verdict is not None
    await before.world.close()
    # The same node after a change of the policy, its signatures evicted, its upstream gone.
    asked = policy("prod", threshold=1, keys=(TrustedKey(public(ANN), "ann"),), critical=critical)
    after = stand_with(Rule((REPOSITORY,), asked))
    await after.world.book.admit(verdict)
    after.push(IMAGE, "1")
    after.world.up.lie[f"/v2/team/app/manifests/{tag_of(IMAGE.digest)}"] = b"x"
    after.sign(IMAGE, ANN)
    assert await after.status("1") == status
    await after.world.settle()
    await after.world.close()


async def test_a_change_of_the_policy_judges_anew_what_is_here(stand: Stand) -> None:
    stand.sign(IMAGE, ANN)
    await stand.world.pull(NAME, IMAGE, "1")
    verdict = stand.world.book.ever_admitted("prod", IMAGE.digest)
    assert verdict is not None
    assert verdict.signers == ("ann",)
    revoking = stand_with(rule(revoked=True))
    await revoking.world.book.admit(verdict)
    revoking.push(IMAGE, "1")
    revoking.sign(IMAGE, ANN)
    assert await revoking.status("1") == 403
    await revoking.world.settle()
    await revoking.world.close()
