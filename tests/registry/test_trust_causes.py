"""Each refusal is counted by its own cause, and an expired root admits nothing new (T41, T42)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skerry.app.drill.images import index
from skerry.registry.signing import Signing
from skerry.telemetry.validation import Cause
from skerry.trust.core.policies import Policies, Rule
from skerry.trust.core.threshold import TrustedKey, policy
from tests.registry.test_signed_images import (
    ANN,
    BOB,
    EVE,
    IMAGE,
    NAME,
    OTHER,
    PRIVATE,
    REPOSITORY,
    tag_of,
)
from tests.registry.trust_stand import ANN_2, CHILD, OLD, WHOLE, Stands, asked, stands
from tests.registry.world import WINDOW_SECONDS
from tests.trust.core.signed import public

__all__ = ["stands"]

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
async def test_t41_each_refusal_counts_its_own_cause_once(stands: Stands, case: str) -> None:
    signers, threshold, cause = SIGNED[case]
    stand = stands(asked(threshold=threshold))
    stand.push(IMAGE, "1", *signers)
    for _ in range(3):
        assert await stand.status("1") == (403 if cause else 200)
    assert stand.counted() == ({cause: 1} if cause else {})


async def test_t42_a_signature_of_another_digest_is_told_as_an_attack(
    stands: Stands,
) -> None:
    stand = stands()
    stand.push(IMAGE, "1")
    stand.sign(IMAGE, ANN, subject=OTHER.digest)
    assert await stand.status("1") == 403
    assert stand.counted() == {Cause.SIGNATURE_INVALID: 1}


async def test_t41_an_expired_key_is_told_by_its_cause(stands: Stands) -> None:
    late = TrustedKey(public(ANN), "ann", expires_at=1_600_000_000.0)
    keys = (late, TrustedKey(public(BOB), "bob"))
    stand = stands(Rule((REPOSITORY,), policy("prod", threshold=1, keys=keys)))
    stand.push(IMAGE, "1", ANN)
    assert await stand.status("1") == 403
    assert stand.counted() == {Cause.SIGNATURE_INVALID: 1}


async def test_t42_a_swapped_child_of_a_signed_index_is_missing_its_signature(
    stands: Stands,
) -> None:
    stand = stands()
    stand.push(WHOLE, "1", ANN)
    stand.push(index([OTHER]), "2")
    assert set(await stand.world.pull(NAME, WHOLE, "1")) == {200}
    assert await stand.status("2") == 403
    assert await stand.status(OTHER.digest) == 403
    assert set(stand.counted()) == {Cause.SIGNATURE_MISSING}


async def test_t31_unreachable_signatures_are_told_by_their_cause(
    stands: Stands,
) -> None:
    stand = stands()
    stand.push(IMAGE, "1", ANN)
    stand.world.up.lie[f"/v2/team/app/manifests/{tag_of(IMAGE.digest)}"] = b"x"
    assert await stand.status("1") == 503
    assert stand.counted().get(Cause.SIGNATURE_UNREACHABLE) == 1
    assert not {Cause.SIGNATURE_MISSING, Cause.SIGNATURE_INVALID} & set(stand.counted())


async def test_a_downgrade_is_told_by_its_cause_and_a_tag_moved_after_signing_by_its(
    stands: Stands,
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
    stands: Stands,
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
    [told] = stand.world.events.recent("trust.refused")
    assert "skerry root grace" in told.next_step, "to sign the image would not help"
    stand.standing.why = ""
    assert await stand.status("2") == 200


async def test_with_an_expired_root_no_tag_moves_to_what_is_newly_judged(
    stands: Stands,
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
    stands: Stands,
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
    stands: Stands,
) -> None:
    stand = stands()
    stand.push(IMAGE, "1")
    assert await stand.status("1") == 403
    signing = Signing(
        images=stand.world.rooms.images, verdicts=stand.verdicts, catalog=stand.world.catalog,
        store=stand.world.store, clock=stand.world.clock, changed=lambda: None,
    )  # fmt: skip
    stand.standing.why = "the root has expired"
    report = await signing.verify(f"{NAME}@{IMAGE.digest}")
    assert (report.accepted, report.closed) == (False, "the root has expired")
