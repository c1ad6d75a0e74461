"""A registry under a policy, an upstream that signs as it is told, and what else decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from skerry.app.drill.images import Image, artifact, image, index, noise
from skerry.base.digest import Digest
from skerry.registry.desk import Desk
from skerry.registry.standing import NoRoot
from skerry.telemetry.validation import Cause
from skerry.trust.core.policies import Policies, Rule
from skerry.trust.core.threshold import TrustedKey, policy
from skerry.wire.message import Answer
from tests.registry.test_signed_images import ANN, BOB, NAME, PRIVATE, REPOSITORY, signature, tag_of
from tests.registry.world import World
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


Stands = Callable[..., Stand]


@pytest.fixture
async def stands() -> AsyncIterator[Stands]:
    made: list[Stand] = []

    def make(*rules: Rule, sibling: bool = False) -> Stand:
        made.append(Stand(*(rules or (asked(),)), sibling=sibling))
        return made[-1]

    yield make
    for each in made:
        await each.world.settle()
        await each.world.close()
