"""The root of a running node: what is taken, kept over a restart, told and counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skerry.adapters.sqlite_verdicts import SqliteVerdicts
from skerry.base.clock import ManualClock
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core.audit import broken_at
from skerry.trust.core.policies import Policies, Rule
from skerry.trust.core.root import RootRefused
from skerry.trust.core.root_making import with_floor, with_revoked
from skerry.trust.core.threshold import Format, Policy
from skerry.trust.root_ports import RootFiles
from skerry.trust.roots import RootOfTrust
from tests.trust.core.rooted import DAY, NOW, grace, pub, root, section

PEOPLE = ("ann", "bob", "cat")
FIRST = root(1, PEOPLE, ("ann", "bob"))
SECOND = root(2, PEOPLE, ("bob", "cat"), owners=section(dora="dora", devi="new"))
ASKED = Policy("prod", 1, (), frozenset(), frozenset(Format))
RULES = (Rule(("*",), ASKED),)


@dataclass
class Stage:
    path: Path
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    rules: tuple[Rule, ...] = RULES

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """A node that starts, with what its disk had."""
        self.book = SqliteVerdicts(self.path)
        self.events = Events(self.clock.now)
        self.failures = ValidationFailures(Registry())
        self.believed: list[Policies] = []
        self.roots = RootOfTrust(
            book=self.book.roots,
            rules=self.rules,
            now=self.clock.now,
            events=self.events,
            failures=self.failures,
            changed=self.believed.append,
        )

    async def restart(self, files: RootFiles) -> None:
        await self.book.close()
        self.open()
        await self.roots.start(files)

    @property
    def version(self) -> int:
        found = self.roots.statistics()
        assert found is not None
        return found.version

    def counted(self) -> dict[Cause, int]:
        return {cause: count for cause, count in self.failures.statistics().items() if count}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "trust.sqlite")
    await made.roots.start(RootFiles({1: FIRST}))
    yield made
    await made.book.close()


async def test_the_roots_keys_are_the_policies_keys(stage: Stage) -> None:
    [rule] = stage.believed[-1].rules
    assert {each.owner for each in rule.policy.keys} == {"dora", "devi"}
    await stage.roots.take(RootFiles({1: FIRST, 2: SECOND}))
    [after] = stage.believed[-1].rules
    assert pub("new").fingerprint in {each.key.fingerprint for each in after.policy.keys}
    assert after.version != rule.version, "what is here is judged anew"


async def test_a_restart_goes_on_with_the_newest_root_whatever_the_folder_says(
    stage: Stage,
) -> None:
    await stage.roots.take(RootFiles({1: FIRST, 2: SECOND}))
    await stage.restart(RootFiles({1: FIRST}))
    assert stage.version == 2
    assert stage.counted() == {Cause.ROOT_ROLLBACK: 1}
    [event] = stage.events.recent("trust.root_refused")
    assert "root 2 goes on" in event.subject
    await stage.restart(RootFiles())
    assert stage.version == 2
    assert stage.counted() == {}


async def test_a_bad_root_is_told_and_counted_and_the_last_good_one_goes_on(stage: Stage) -> None:
    bad = root(2, PEOPLE, ("ann",))
    [error] = await stage.roots.take(RootFiles({1: FIRST, 2: bad}))
    assert error.what.startswith("2.root.json: ")
    assert "lacks signatures of 1 more holders of root 1" in error.what
    assert stage.version == 1
    assert stage.counted() == {Cause.ROOT_INVALID: 1}
    assert len(stage.events.recent("trust.root_refused")) == 1
    assert len(stage.believed) == 2, "nobody was told of other policies"


async def test_without_a_root_a_node_does_not_start(tmp_path: Path) -> None:
    empty = Stage(tmp_path / "t.sqlite")
    with pytest.raises(RootRefused, match="no root in the folder"):
        await empty.roots.start(RootFiles())
    with pytest.raises(RootRefused, match=r"^1\.root\.json: .*lacks signatures"):
        await empty.roots.start(RootFiles({1: root(1, PEOPLE, ("ann",))}))
    await empty.book.close()


async def test_an_expired_root_closes_and_tells_so_once(stage: Stage) -> None:
    assert stage.roots.closed() == ""
    stage.clock.advance(100 * DAY)
    assert "has expired" in stage.roots.closed()
    for _ in range(3):
        await stage.roots.watch()
    assert len(stage.events.recent("trust.root_expired")) == 1
    assert stage.counted() == {Cause.ROOT_EXPIRED: 1}
    assert stage.roots.standings() == {("valid",): 0, ("grace",): 0, ("expired",): 1}
    [expiry] = stage.roots.expiries()
    assert (expiry.kind, expiry.at) == ("trust_root", NOW + 100 * DAY)


async def test_an_expired_root_is_not_followed_by_an_expired_one(stage: Stage) -> None:
    stage.clock.advance(101 * DAY)
    again = root(2, PEOPLE, PEOPLE, expires_at=NOW + 100.5 * DAY)
    await stage.roots.take(RootFiles({1: FIRST, 2: again}))
    assert stage.version == 1
    assert stage.counted() == {Cause.ROOT_EXPIRED: 2}  # the state, and the root that is refused
    fresh = root(2, PEOPLE, PEOPLE, expires_at=NOW + 200 * DAY)
    await stage.roots.take(RootFiles({1: FIRST, 2: fresh}))
    assert (stage.version, stage.roots.closed()) == (2, "")


async def test_a_grace_of_the_threshold_opens_until_it_ends(stage: Stage) -> None:
    stage.clock.advance(101 * DAY)
    await stage.roots.take(RootFiles({1: FIRST}, grace(FIRST, "ann", "cat")))
    assert stage.roots.closed() == ""
    assert len(stage.events.recent("trust.root_grace")) == 1
    found = stage.roots.statistics()
    assert found is not None
    assert (found.standing, found.grace_reason) == ("grace", "cut off")
    stage.clock.advance(2 * DAY)
    assert "has expired" in stage.roots.closed()
    await stage.roots.watch()
    assert len(stage.events.recent("trust.root_expired")) == 1


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (grace(FIRST, "ann"), "lacks signatures of 1"),
        (grace(FIRST, "ann", "dora"), "lacks signatures of 1"),
        (grace(SECOND, "ann", "bob"), "is for root 2"),
        (grace(root(1, PEOPLE, PEOPLE, expires_at=NOW + DAY), "ann", "bob"), "is for root 1"),
        (grace(FIRST, "ann", "bob", seconds=DAY), "has ended"),
        (b'{"payloadType":"x"}', "cannot be read"),
    ],
    ids=["one", "a stranger", "a later root", "another root", "ended", "no grace"],
)  # fmt: skip
async def test_a_grace_that_does_not_hold_opens_nothing(stage: Stage, bad: bytes, why: str) -> None:
    stage.clock.advance(101.5 * DAY)
    [error] = await stage.roots.take(RootFiles({1: FIRST}, bad))
    assert why in error.what
    assert "has expired" in stage.roots.closed()


async def test_a_grace_outlives_a_restart_and_holds_for_its_root_alone(stage: Stage) -> None:
    given = grace(FIRST, "ann", "cat")
    stage.clock.advance(101 * DAY)
    await stage.roots.take(RootFiles({1: FIRST}, given))
    await stage.restart(RootFiles({1: FIRST}))
    assert stage.roots.closed() == ""
    short = root(2, PEOPLE, PEOPLE, expires_at=NOW + 102 * DAY)
    await stage.roots.take(RootFiles({1: FIRST, 2: short}, given))
    stage.clock.advance(1.5 * DAY)
    assert "version 2, has expired" in stage.roots.closed()


async def test_what_was_done_is_in_the_audit_by_name(stage: Stage) -> None:
    await stage.roots.take(RootFiles({1: FIRST, 2: SECOND}, grace(SECOND, "ann", "cat")))
    entries = stage.book.roots.audit(0, 10)
    assert [each.number for each in entries] == [1, 2, 3]
    assert broken_at(entries) is None
    assert '"who":["bob","cat"]' in entries[1].text
    assert '"reason":"cut off"' in entries[2].text
    await stage.roots.take(RootFiles({1: FIRST, 2: SECOND}, grace(SECOND, "ann", "cat")))
    assert len(stage.book.roots.audit(0, 10)) <= 4


async def test_a_policy_that_a_revocation_leaves_unmeetable_opens_nothing_and_is_told(
    tmp_path: Path,
) -> None:
    owners = section(dora="dora", devi="devi")
    floor = with_floor(owners, "prod", threshold=2)
    first = root(1, PEOPLE, PEOPLE, owners=floor)
    revoked = root(2, PEOPLE, PEOPLE, owners=with_revoked(floor, "devi", None))
    made = Stage(tmp_path / "t.sqlite")
    await made.roots.start(RootFiles({1: first}))
    assert made.believed[-1].rules[0].policy.threshold == 2, "the settings' 1 is below the floor"
    await made.roots.take(RootFiles({1: first, 2: revoked}))
    assert made.version == 2
    [event] = made.events.recent("trust.policy_unmeetable")
    assert "only 1 can" in event.cause
    [rule] = made.believed[-1].rules
    assert rule.policy.threshold == 2
    await made.book.close()


async def test_the_settings_may_ask_more_than_the_root_and_never_less(tmp_path: Path) -> None:
    owners = with_floor(
        section(dora="dora", devi="devi", dina="dina"), "prod", threshold=2,
        required=["dora"], owners=["dora", "devi"],
    )  # fmt: skip
    asked = Policy("prod", 3, (), frozenset({"devi"}), frozenset(Format))
    made = Stage(tmp_path / "t.sqlite", rules=(Rule(("*",), asked), *RULES))
    await made.roots.start(RootFiles({1: root(1, PEOPLE, PEOPLE, owners=owners)}))
    strict, lax = made.believed[-1].rules
    assert (strict.policy.threshold, strict.policy.required) == (3, {"dora", "devi"})
    assert (lax.policy.threshold, lax.policy.required) == (2, {"dora"})
    assert {each.owner for each in lax.policy.keys} == {"dora", "devi"}
    await made.book.close()
