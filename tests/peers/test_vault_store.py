"""The vault's port on a real S3 (SeaweedFS)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from skerry.cdn.vault.ports import ObjectExists, VaultRefused
from skerry.cdn.vault.testing import CHECKS, Check, offer
from tests.rig.processes import Rig
from tests.rig.weed import LIMITED_KEY, LIMITED_SECRET, Weed


@pytest.fixture(scope="module")
def weed(shared: Rig) -> Iterator[Weed]:
    server = Weed(shared)
    yield server
    server.kill()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_real_s3_keeps_the_port_s_promises(check: Check, weed: Weed) -> None:
    await check(weed.open(prefix=check.__name__))


async def test_of_sixteen_that_put_the_same_name_one_wins(weed: Weed) -> None:
    vault = weed.open(prefix="race")

    async def put(number: int) -> bool:
        try:
            await vault.put(offer("c/ab/one", b"%d" % number))
        except ObjectExists:
            return False
        return True

    won = await asyncio.gather(*(put(number) for number in range(16)))
    assert sum(won) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"secret": "SKWRONG"}, "SignatureDoesNotMatch"),
        ({"key": "AKWRONG"}, "InvalidAccessKeyId"),
    ],
)
async def test_wrong_credentials_are_named_and_not_shown(
    weed: Weed, more: dict[str, str], said: str
) -> None:
    vault = weed.open(**more)
    with pytest.raises(VaultRefused) as told:
        await vault.put(offer("c/ab/one"))
    assert said in told.value.what
    assert "credentials_file" in told.value.next_step
    assert "WRONG" not in str(told.value)
    with pytest.raises(VaultRefused):
        await vault.head("c/ab/one")


async def test_a_bucket_that_is_not_there_is_the_operator_s_to_make(weed: Weed) -> None:
    vault = weed.open("nowhere", key=LIMITED_KEY, secret=LIMITED_SECRET)
    with pytest.raises(VaultRefused) as told:
        await vault.put(offer("c/ab/one"))
    assert told.value.next_step
