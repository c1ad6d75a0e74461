"""A verdict that changes is obeyed on every way by which bytes leave (T43, D1, B4)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from skerry.registry.core.errors import RegistryError
from skerry.registry.operations import WarmStep
from skerry.registry.verdicts import REFUSED_SECONDS
from skerry.trust.core.policies import Policies, Rule
from skerry.upstream.ports import Trouble
from tests.registry.test_signed_images import ANN, EVE, IMAGE, NAME
from tests.registry.trust_stand import CHILD, SBOM, WHOLE, Stand, Stands, asked, stands
from tests.registry.world import body_of

__all__ = ["stands"]

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
    stands: Stands, way: str, tmp_path: Path
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
    stands: Stands, way: str, tmp_path: Path
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


async def test_what_was_opened_for_a_time_is_no_ready_answer(stands: Stands) -> None:
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


async def test_a_pin_and_an_import_open_nothing(stands: Stands, tmp_path: Path) -> None:
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


async def test_a_copy_of_a_sibling_is_judged_as_any_other(stands: Stands) -> None:
    stand = stands(sibling=True)
    stand.push(IMAGE, "1")
    stand.world.sibling.push(f"{NAME}", IMAGE)
    assert await stand.status("1") == 403
    assert (await stand.get(f"blobs/{IMAGE.blobs[1].digest}")).status == 403
    stand.sign(IMAGE, ANN)
    stand.world.clock.advance(REFUSED_SECONDS + 20)
    assert set(await stand.world.pull(NAME, IMAGE, "1")) == {200}


async def test_a_listing_of_referrers_is_answered_so_that_who_signs_next_can_see(
    stands: Stands,
) -> None:
    stand = stands()
    stand.push(IMAGE, "1", EVE)
    assert await stand.status("1") == 403
    answer = await stand.get(f"referrers/{IMAGE.digest}")
    assert answer.status == 200
    assert isinstance(answer.body, bytes)
    assert "manifests" in json.loads(answer.body)
