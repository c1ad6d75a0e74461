"""A verdict that changes is obeyed on every way by which bytes leave; each refusal has its cause.

Known failures T41-T43, requirements D1 and B4.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from skerry.app.drill.images import Image, artifact, image, index, noise
from skerry.base.digest import Digest
from skerry.registry.core.errors import RegistryError
from skerry.registry.desk import Desk
from skerry.registry.operations import WarmStep
from skerry.registry.standing import NoRoot
from skerry.registry.verdicts import REFUSED_SECONDS
from skerry.telemetry.validation import Cause
from skerry.trust.core.policies import Policies, Rule
from skerry.trust.core.threshold import TrustedKey, policy
from skerry.upstream.ports import Trouble
from skerry.wire.message import Answer
from tests.registry.test_signed_images import (
    ANN,
    BOB,
    EVE,
    IMAGE,
    NAME,
    OTHER,
    PRIVATE,
    REPOSITORY,
    rule,
    signature,
    tag_of,
)
from tests.registry.world import WINDOW_SECONDS, World, body_of
from tests.trust.core.signed import ec_key, public

CHILD = image([{"bin/c": noise(41, 5000)}])
WHOLE = index([CHILD])
SBOM = artifact(WHOLE, "application/spdx+json", b"an SBOM")
ANN_2, OLD = ec_key(), ec_key()


def asked(*, threshold: int = 1, revoked: frozenset[str] = frozenset()) -> Rule:
    names = {"ann": ANN, "ann2": ANN_2, "bob": BOB, "old": OLD}
    keys = [
        TrustedKey(
            public(private),
            name.rstrip("2"),
            revoked=name in {*revoked, "old"},
        )
        for name, private in names.items()
    ]
    return Rule((REPOSITORY,), policy("prod", threshold=threshold, keys=keys))


@dataclass
class Standing(NoRoot):
    """What a root and an emergency say, as the test has it."""

    why: str = ""
    opened: set[Digest] = field(default_factory=set)

    def closed(self) -> str:
        return self.why

    def is_open(self, version: str, digest: Digest) -> bool:
        return digest in self.opened


class Stand:
    def __init__(self, *rules: Rule, sibling: bool = False) -> None:
        self.world = World(companions=True, policies=Policies(rules), sibling=sibling)
        self.verdicts = self.world.rooms.verdicts
        self.standing = Standing()
        self.verdicts.standing = self.standing

    def push(self, what: Image, tag: str = "", *signers: PRIVATE) -> None:
        self.world.up.push("team/app", what, tag)
        if signers:
            self.sign(what, *signers)

    def sign(self, what: Image, *signers: PRIVATE, subject: Digest | None = None) -> None:
        made = signature(subject or what.digest, *signers)
        self.world.up.push("team/app", made, tag_of(what.digest))

    async def get(self, path: str, **fields: str) -> Answer:
        method = fields.pop("method", "GET")
        return await self.world.get(f"/v2/{NAME}/{path}", method=method, **fields)

    async def status(self, reference: str | Digest) -> int:
        return (await self.get(f"manifests/{reference}")).status

    def counted(self) -> dict[Cause, int]:
        found = self.world.failures.statistics()
        return {cause: count for cause, count in found.items() if count}

    def desk(self) -> Desk:
        return Desk(
            node="rock", version="1", rooms=self.world.rooms, parts=self.world.parts(),
            housekeeper=None,  # type: ignore[arg-type]
        )  # fmt: skip


@pytest.fixture
async def stands() -> AsyncIterator[Callable[..., Stand]]:
    made: list[Stand] = []

    def make(*rules: Rule, sibling: bool = False) -> Stand:
        made.append(Stand(*(rules or (asked(),)), sibling=sibling))
        return made[-1]

    yield make
    for each in made:
        await each.world.settle()
        await each.world.close()


Path_ = Callable[[Stand], Awaitable[int]]


def by(path: str, **fields: str) -> Path_:
    async def ask(stand: Stand) -> int:
        answer = await stand.get(path, **fields)
        if answer.status < 300:
            await body_of(answer)
        return answer.status

    return ask


async def warmed(stand: Stand) -> int:
    events = [
        each
        async for each in stand.desk().warm(
            [f"{NAME}:1"], platforms=(), all_platforms=True, bytes_max=None
        )
    ]
    return 200 if events[-1].step is WarmStep.DONE else 403


async def exported(stand: Stand) -> int:
    folder = stand.folder / f"{len(list(stand.folder.iterdir()))}.tar"  # type: ignore[attr-defined]
    try:
        await stand.desk().export(f"{NAME}:1", str(folder))
    except RegistryError as error:
        return error.status
    return 200


BLOB = CHILD.blobs[1].digest
WAYS: dict[str, Path_] = {
    "GET by tag": by("manifests/1"),
    "HEAD by tag": by("manifests/1", method="HEAD"),
    "GET by digest": by(f"manifests/{WHOLE.digest}"),
    "HEAD by digest": by(f"manifests/{WHOLE.digest}", method="HEAD"),
    "a child": by(f"manifests/{CHILD.digest}"),
    "HEAD of a child": by(f"manifests/{CHILD.digest}", method="HEAD"),
    "a layer": by(f"blobs/{BLOB}"),
    "HEAD of a layer": by(f"blobs/{BLOB}", method="HEAD"),
    "a part of a layer": by(f"blobs/{BLOB}", Range="bytes=0-9"),
    "a config": by(f"blobs/{CHILD.blobs[0].digest}"),
    "an SBOM": by(f"manifests/{SBOM.digest}"),
    "an SBOM's blob": by(f"blobs/{SBOM.blobs[-1].digest}"),
    "a sibling's question": by(f"manifests/{WHOLE.digest}", Cache_Control="only-if-cached"),
    "a sibling's question for a layer": by(f"blobs/{BLOB}", Cache_Control="only-if-cached"),
    "warm": warmed,
    "export": exported,
}


@pytest.mark.parametrize("way", WAYS)
async def test_t43_what_is_judged_anew_leaves_by_no_way(
    stands: Callable[..., Stand], way: str, tmp_path: Path
) -> None:
    stand = stands()
    stand.folder = tmp_path  # type: ignore[attr-defined]
    stand.push(WHOLE, "1", ANN)
    stand.push(SBOM)
    assert set(await stand.world.pull(NAME, WHOLE, "1")) == {200}
    assert await stand.status(SBOM.digest) == 200
    await stand.world.settle()
    assert await WAYS[way](stand) in (200, 206)
    stand.verdicts.use(Policies((asked(revoked=frozenset(("ann", "ann2"))),)))
    assert await WAYS[way](stand) == 403
    stand.verdicts.use(Policies((asked(),)))
    assert await WAYS[way](stand) in (200, 206)


@pytest.mark.parametrize("way", WAYS)
async def test_what_two_owners_opened_leaves_by_every_way_until_its_time_ends(
    stands: Callable[..., Stand], way: str, tmp_path: Path
) -> None:
    stand = stands()
    stand.folder = tmp_path  # type: ignore[attr-defined]
    stand.push(WHOLE, "1")
    stand.push(SBOM)
    assert await stand.status("1") == 403
    for each in (WHOLE.digest, CHILD.digest, SBOM.digest):
        await stand.status(each)
    stand.standing.opened.add(WHOLE.digest)
    assert set(await stand.world.pull(NAME, WHOLE, "1")) == {200}
    await stand.world.settle()
    if way != "warm":  # it ends with an acceptance, and there is none
        assert await WAYS[way](stand) in (200, 206)
    stand.standing.opened.clear()
    assert await WAYS[way](stand) == 403


async def test_what_was_opened_for_a_time_is_no_ready_answer(stands: Callable[..., Stand]) -> None:
    stand = stands()
    stand.push(WHOLE, "1")
    assert await stand.status("1") == 403
    stand.standing.opened.add(WHOLE.digest)
    assert set(await stand.world.pull(NAME, WHOLE, "1")) == {200}
    for path in (f"manifests/{WHOLE.digest}", "manifests/1", f"blobs/{BLOB}"):
        answer = await stand.get(path)
        assert (answer.status, answer.hot) == (200, None)
    stand.sign(WHOLE, ANN)
    stand.standing.opened.clear()
    stand.world.clock.advance(REFUSED_SECONDS + 1)
    assert await stand.status(WHOLE.digest) == 200
    assert (await stand.get(f"manifests/{WHOLE.digest}")).hot is not None


async def test_a_pin_and_an_import_open_nothing(
    stands: Callable[..., Stand], tmp_path: Path
) -> None:
    giver = stands(Rule(("other/*",), asked().policy))
    giver.push(IMAGE, "1")
    assert set(await giver.world.pull(NAME, IMAGE, "1")) == {200}
    await giver.world.settle()
    await giver.desk().export(f"{NAME}:1", str(tmp_path / "x.tar"))
    stand = stands()
    await stand.desk().import_layout(str(tmp_path / "x.tar"), None)
    await stand.desk().pin(f"{NAME}:1")
    stand.world.up.down = Trouble.REFUSED
    for way in ("1", IMAGE.digest):
        assert await stand.status(way) in (403, 503)
    assert (await stand.get(f"blobs/{IMAGE.blobs[1].digest}")).status in (403, 503)


async def test_a_copy_of_a_sibling_is_judged_as_any_other(stands: Callable[..., Stand]) -> None:
    stand = stands(sibling=True)
    stand.push(IMAGE, "1")
    stand.world.sibling.push(f"{NAME}", IMAGE)
    assert await stand.status("1") == 403
    assert (await stand.get(f"blobs/{IMAGE.blobs[1].digest}")).status == 403
    stand.sign(IMAGE, ANN)
    stand.world.clock.advance(REFUSED_SECONDS + 20)
    assert set(await stand.world.pull(NAME, IMAGE, "1")) == {200}


async def test_a_listing_of_referrers_is_answered_so_that_who_signs_next_can_see(
    stands: Callable[..., Stand],
) -> None:
    stand = stands()
    stand.push(IMAGE, "1", EVE)
    assert await stand.status("1") == 403
    answer = await stand.get(f"referrers/{IMAGE.digest}")
    assert answer.status == 200
    assert isinstance(answer.body, bytes)
    assert "manifests" in json.loads(answer.body)


# each refusal by its cause, and by no other

SIGNED: dict[str, tuple[tuple[PRIVATE, ...], int, Cause | None]] = {
    "unsigned": ((), 1, Cause.SIGNATURE_MISSING),
    "A+A": ((ANN, ANN), 2, Cause.SIGNATURE_THRESHOLD),
    "A and A's second key": ((ANN, ANN_2), 2, Cause.SIGNATURE_THRESHOLD),
    "A+revoked": ((ANN, OLD), 2, Cause.SIGNATURE_THRESHOLD),
    "A+stranger": ((ANN, EVE), 2, Cause.SIGNATURE_THRESHOLD),
    "a stranger": ((EVE,), 1, Cause.SIGNATURE_INVALID),
    "revoked": ((OLD,), 1, Cause.SIGNATURE_INVALID),
    "A+B": ((ANN, BOB), 2, None),
}


@pytest.mark.parametrize("case", SIGNED)
async def test_t41_each_refusal_counts_its_own_cause_once(
    stands: Callable[..., Stand], case: str
) -> None:
    signers, threshold, cause = SIGNED[case]
    stand = stands(asked(threshold=threshold))
    stand.push(IMAGE, "1", *signers)
    for _ in range(3):
        assert await stand.status("1") == (403 if cause else 200)
    assert stand.counted() == ({cause: 1} if cause else {})


async def test_t42_a_signature_of_another_digest_is_told_as_an_attack(
    stands: Callable[..., Stand],
) -> None:
    stand = stands()
    stand.push(IMAGE, "1")
    stand.sign(IMAGE, ANN, subject=OTHER.digest)
    assert await stand.status("1") == 403
    assert stand.counted() == {Cause.SIGNATURE_INVALID: 1}


async def test_t41_an_expired_key_is_told_by_its_cause(stands: Callable[..., Stand]) -> None:
    late = TrustedKey(public(ANN), "ann", expires_at=1_600_000_000.0)
    keys = (late, TrustedKey(public(BOB), "bob"))
    stand = stands(Rule((REPOSITORY,), policy("prod", threshold=1, keys=keys)))
    stand.push(IMAGE, "1", ANN)
    assert await stand.status("1") == 403
    assert stand.counted() == {Cause.SIGNATURE_INVALID: 1}


async def test_t42_a_swapped_child_of_a_signed_index_is_missing_its_signature(
    stands: Callable[..., Stand],
) -> None:
    stand = stands()
    stand.push(WHOLE, "1", ANN)
    stand.push(index([OTHER]), "2")
    assert set(await stand.world.pull(NAME, WHOLE, "1")) == {200}
    assert await stand.status("2") == 403
    assert await stand.status(OTHER.digest) == 403
    assert set(stand.counted()) == {Cause.SIGNATURE_MISSING}


async def test_t31_unreachable_signatures_are_told_by_their_cause(
    stands: Callable[..., Stand],
) -> None:
    stand = stands()
    stand.push(IMAGE, "1", ANN)
    stand.world.up.lie[f"/v2/team/app/manifests/{tag_of(IMAGE.digest)}"] = b"x"
    assert await stand.status("1") == 503
    assert stand.counted().get(Cause.SIGNATURE_UNREACHABLE) == 1
    assert not {Cause.SIGNATURE_MISSING, Cause.SIGNATURE_INVALID} & set(stand.counted())


async def test_a_downgrade_is_told_by_its_cause_and_a_tag_moved_after_signing_by_its(
    stands: Callable[..., Stand],
) -> None:
    stand = stands()
    stand.push(IMAGE, "1", ANN)
    stand.push(OTHER, "", ANN)
    await stand.world.pull(NAME, IMAGE, "1")
    await stand.world.settle()
    for upstream in (OTHER, IMAGE):
        stand.push(upstream, "1")
        for _ in range(2):
            stand.world.clock.advance(WINDOW_SECONDS + 1)
            await stand.status("1")
            await stand.world.settle()
    assert set(stand.counted()) == {Cause.DOWNGRADE}
    moved = stands()
    moved.push(IMAGE, "1", ANN)
    await moved.world.pull(NAME, IMAGE, "1")
    await moved.world.settle()
    moved.push(CHILD, "1")
    moved.world.clock.advance(WINDOW_SECONDS + 1)
    await moved.status("1")
    await moved.world.settle()
    assert set(moved.counted()) == {Cause.SIGNATURE_MISSING}
    answer = await moved.get("manifests/1")
    assert answer.headers.get("Docker-Content-Digest") == str(IMAGE.digest)


# an expired root


async def test_an_expired_root_serves_what_was_admitted_and_admits_nothing_new(
    stands: Callable[..., Stand],
) -> None:
    stand = stands()
    stand.push(IMAGE, "1", ANN)
    stand.push(OTHER, "2", ANN)
    assert set(await stand.world.pull(NAME, IMAGE, "1")) == {200}
    await stand.world.settle()
    stand.standing.why = "the root of trust has expired"
    assert set(await stand.world.pull(NAME, IMAGE, "1")) == {200}
    for _ in range(3):
        assert await stand.status("2") == 403
    assert stand.counted() == {Cause.ROOT_EXPIRED: 1}
    stand.standing.why = ""
    assert await stand.status("2") == 200


async def test_with_an_expired_root_no_tag_moves_to_what_is_newly_judged(
    stands: Callable[..., Stand],
) -> None:
    stand = stands()
    stand.push(IMAGE, "1", ANN)
    await stand.world.pull(NAME, IMAGE, "1")
    await stand.world.settle()
    stand.push(OTHER, "1", ANN)
    stand.standing.why = "the root of trust has expired"
    for _ in range(3):
        stand.world.clock.advance(WINDOW_SECONDS + 1)
        answer = await stand.get("manifests/1")
        assert answer.headers.get("Docker-Content-Digest") == str(IMAGE.digest)
        await stand.world.settle()
    assert await stand.status(OTHER.digest) == 403


async def test_with_an_expired_root_other_settings_take_nothing_away_that_their_keys_still_open(
    stands: Callable[..., Stand],
) -> None:
    stand = stands()
    stand.push(IMAGE, "1", ANN)
    await stand.world.pull(NAME, IMAGE, "1")
    await stand.world.settle()
    stand.standing.why = "the root of trust has expired"
    stand.verdicts.use(Policies((replace(asked(), downgrades=True), asked())))
    stand.verdicts.use(Policies((asked(threshold=2),)))
    assert await stand.status("1") == 403, "asked for more, it is judged anew"
    more = TrustedKey(public(EVE), "eve")
    wider = Rule((REPOSITORY,), replace(asked().policy, keys=(*asked().policy.keys, more)))
    stand.verdicts.use(Policies((wider,)))
    assert await stand.status("1") == 200


async def test_verify_tells_of_an_expired_root_and_of_an_open_glass(
    stands: Callable[..., Stand],
) -> None:
    assert rule().policy.name == "prod"
    stand = stands()
    stand.push(IMAGE, "1")
    assert await stand.status("1") == 403
    from skerry.registry.signing import Signing

    signing = Signing(
        images=stand.world.rooms.images, verdicts=stand.verdicts, catalog=stand.world.catalog,
        store=stand.world.store, clock=stand.world.clock, changed=lambda: None,
    )  # fmt: skip
    stand.standing.why = "the root has expired"
    report = await signing.verify(f"{NAME}@{IMAGE.digest}")
    assert (report.accepted, report.closed) == (False, "the root has expired")
