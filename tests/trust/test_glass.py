"""Breaking the glass: two owners, one digest, one node, one policy, one time."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from skerry.adapters.sqlite_verdicts import SqliteVerdicts
from skerry.base.clock import ManualClock
from skerry.base.digest import Digest
from skerry.base.errors import BadInput
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core.audit import Entry, broken_at
from skerry.trust.core.policies import Rule
from skerry.trust.core.statements import (
    GLASS_SECONDS_MAX,
    Glass,
    Statement,
    glass_statement,
    read_statement,
)
from skerry.trust.core.threshold import TrustedKey, policy
from skerry.trust.glass import BreakGlass, GlassRefused
from tests.trust.core.rooted import DAY, NOW, grace, key, pub, root, signed
from tests.trust.core.signed import sign

IMAGE, OTHER = Digest("sha256", "1" * 64), Digest("sha256", "2" * 64)
HERE = "a" * 64
HOUR = 3600.0
KEYS = (
    TrustedKey(pub("ann"), "ann"),
    TrustedKey(pub("ann2"), "ann"),
    TrustedKey(pub("bob"), "bob"),
    TrustedKey(pub("old"), "dan", revoked=True),
    TrustedKey(pub("late"), "eve", expires_at=NOW - 1),
)
RULE = Rule(("*",), policy("prod", threshold=3, keys=(*KEYS, TrustedKey(pub("cat"), "cat"))))
GLASS = Glass(IMAGE, "prod", RULE.version, HERE, NOW, NOW + 2 * HOUR, "payment is down")


def statement(*signers: str, glass: Glass = GLASS) -> bytes:
    return signed(glass_statement(glass), *signers).encoded()


@dataclass
class Stage:
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    book: SqliteVerdicts = field(default_factory=lambda: SqliteVerdicts(None))
    closed: str = ""

    def __post_init__(self) -> None:
        self.events = Events(self.clock.now)
        self.failures = ValidationFailures(Registry())
        self.outcomes: list[str] = []
        self.glass = BreakGlass(
            book=self.book.roots,
            node=lambda: HERE,
            now=self.clock.now,
            events=self.events,
            failures=self.failures,
            count=self.outcomes.append,
            closed=lambda: self.closed,
        )

    def is_open(self, digest: Digest = IMAGE, rule: Rule = RULE) -> bool:
        return self.glass.is_open(rule.version, digest)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_two_owners_open_a_digest_for_the_time_they_signed(stage: Stage) -> None:
    done = await stage.glass.break_by(statement("ann", "bob"), RULE, IMAGE)
    assert done.owners == ("ann", "bob")
    assert stage.is_open()
    assert not stage.is_open(OTHER)
    stage.clock.advance(2 * HOUR - 1)
    assert stage.is_open()
    stage.clock.advance(1)
    assert not stage.is_open()
    assert stage.outcomes == ["broken"]


@pytest.mark.parametrize(
    ("signers", "cause"),
    [
        (("ann",), Cause.SIGNATURE_THRESHOLD),
        (("ann", "ann2"), Cause.SIGNATURE_THRESHOLD),
        (("ann", "old"), Cause.SIGNATURE_THRESHOLD),
        (("ann", "late"), Cause.SIGNATURE_THRESHOLD),
        (("ann", "stranger"), Cause.SIGNATURE_THRESHOLD),
        (("stranger", "stranger2"), Cause.SIGNATURE_INVALID),
        ((), Cause.SIGNATURE_THRESHOLD),
    ],
)
async def test_one_owner_is_refused_and_so_is_whoever_does_not_count(
    stage: Stage, signers: tuple[str, ...], cause: Cause
) -> None:
    with pytest.raises(GlassRefused, match="two owners"):
        await stage.glass.break_by(statement(*signers), RULE, IMAGE)
    assert not stage.is_open()
    assert stage.book.roots.audit(0, 9) == ()
    assert stage.failures.statistics()[cause] == sum(stage.failures.statistics().values()) == 1
    assert stage.outcomes == ["refused"]


async def test_one_signature_that_is_copied_under_another_id_counts_once(stage: Stage) -> None:
    made = read_statement(statement("ann"))
    [(_, signature)] = made.signatures
    twice = Statement(
        made.kind, made.payload, ((HERE, signature), (pub("bob").fingerprint, signature))
    )
    with pytest.raises(GlassRefused, match="1 of them"):
        await stage.glass.break_by(twice.encoded(), RULE, IMAGE)


async def test_the_key_ids_of_signatures_prove_nothing(stage: Stage) -> None:
    made = read_statement(statement("stranger"))
    [(_, signature)] = made.signatures
    claimed = tuple((pub(name).fingerprint, signature) for name in ("ann", "bob"))
    with pytest.raises(GlassRefused, match="0 of them"):
        await stage.glass.break_by(
            Statement(made.kind, made.payload, claimed).encoded(), RULE, IMAGE
        )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"digest": OTHER}, "is for sha256:2"),
        ({"node": "b" * 64}, "another node"),
        ({"version": "0" * 32}, "another version"),
        ({"policy": "dev"}, "another policy"),
        ({"begins_at": NOW - 3 * HOUR, "ends_at": NOW}, "has ended"),
        ({"begins_at": NOW + HOUR, "ends_at": NOW + 2 * HOUR}, "not begun"),
    ],
)
async def test_a_statement_for_something_else_opens_nothing(
    stage: Stage, change: dict[str, object], why: str
) -> None:
    made = statement("ann", "bob", glass=replace(GLASS, **change))  # type: ignore[arg-type]
    with pytest.raises(GlassRefused, match=why):
        await stage.glass.break_by(made, RULE, IMAGE)
    assert not stage.is_open()


async def test_a_statement_that_is_replayed_after_its_end_opens_nothing(stage: Stage) -> None:
    made = statement("ann", "bob")
    await stage.glass.break_by(made, RULE, IMAGE)
    stage.clock.advance(3 * HOUR)
    with pytest.raises(GlassRefused, match="has ended"):
        await stage.glass.break_by(made, RULE, IMAGE)
    assert not stage.is_open()


async def test_another_policy_closes_what_was_open(stage: Stage) -> None:
    await stage.glass.break_by(statement("ann", "bob"), RULE, IMAGE)
    other = Rule(("*",), policy("prod", threshold=2, keys=KEYS))
    assert not stage.is_open(rule=other)


async def test_with_an_expired_root_nobodys_word_opens_anything(stage: Stage) -> None:
    stage.closed = "the root has expired"
    with pytest.raises(GlassRefused, match="has expired") as caught:
        await stage.glass.break_by(statement("ann", "bob"), RULE, IMAGE)
    assert "skerry root grace" in caught.value.next_step
    assert stage.failures.statistics()[Cause.ROOT_EXPIRED] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"ends_at": NOW + GLASS_SECONDS_MAX + 1},
        {"ends_at": NOW},
        {"ends_at": NOW - 1},
        {"reason": ""},
        {"reason": " "},
        {"reason": "x" * 401},
    ],
    ids=["too long", "no time", "backwards", "none", "blank", "a novel"],
)
async def test_a_statement_without_bounds_or_reason_is_neither_made_nor_believed(
    stage: Stage, change: dict[str, object]
) -> None:
    wrong = replace(GLASS, **change)  # type: ignore[arg-type]
    with pytest.raises(BadInput):
        glass_statement(wrong)
    document = json.loads(glass_statement(GLASS).payload)
    document |= {"until": wrong.ends_at, "reason": wrong.reason}
    made = Statement(glass_statement(GLASS).kind, json.dumps(document).encode())
    with pytest.raises(GlassRefused):
        await stage.glass.break_by(signed(made, "ann", "bob").encoded(), RULE, IMAGE)


@pytest.mark.parametrize("value", [True, None, "1", 1e400])
async def test_a_time_that_is_no_time_is_refused(stage: Stage, value: object) -> None:
    document = json.loads(glass_statement(GLASS).payload) | {"until": value}
    made = Statement(glass_statement(GLASS).kind, json.dumps(document).encode())
    with pytest.raises(GlassRefused):
        await stage.glass.break_by(signed(made, "ann", "bob").encoded(), RULE, IMAGE)


async def test_a_grace_is_no_broken_glass(stage: Stage) -> None:
    first = root(1, ("ann", "bob", "cat"), ("ann", "bob"))
    with pytest.raises(GlassRefused, match="other kind"):
        await stage.glass.break_by(grace(first, "ann", "bob"), RULE, IMAGE)


def test_the_envelope_is_one_that_securesystemslib_reads_and_verifies() -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    made = Envelope.from_dict(json.loads(statement("ann", "bob")))
    keys = [
        SSlibKey.from_crypto(key(name).public_key(), keyid=pub(name).fingerprint)
        for name in ("ann", "bob")
    ]
    assert len(made.verify(keys, 2)) == 2


async def test_it_is_in_the_audit_with_who_what_why_and_until_when(stage: Stage) -> None:
    done = await stage.glass.break_by(statement("ann", "bob"), RULE, IMAGE)
    [entry] = stage.book.roots.audit(0, 9)
    assert entry == done.entry
    told = json.loads(entry.text)
    assert told["deed"] == "glass.broken"
    assert (told["subject"], told["who"]) == (str(IMAGE), ["ann", "bob"])
    assert (told["reason"], told["until"]) == ("payment is down", NOW + 2 * HOUR)
    [event] = stage.events.recent("trust.glass_broken")
    assert "ann and bob" in event.cause


async def test_an_entry_that_was_changed_left_out_or_put_elsewhere_breaks_the_chain(
    stage: Stage,
) -> None:
    for number in range(4):
        made = replace(GLASS, reason=f"case {number}")
        await stage.glass.break_by(statement("ann", "bob", glass=made), RULE, IMAGE)
    entries = list(stage.book.roots.audit(0, 9))
    assert broken_at(entries) is None
    edited = [*entries]
    edited[1] = Entry(2, entries[1].text.replace("case 1", "case 9"), entries[1].hash)
    assert broken_at(edited) == 2
    assert broken_at(entries[:1] + entries[2:]) == 2
    assert broken_at([entries[1], entries[0]]) == 1
    assert broken_at(entries[1:]) == 1
    assert broken_at([Entry(7, entries[0].text, entries[0].hash)]) == 1
    renumbered = [Entry(1, entries[1].text, entries[1].hash)]
    assert broken_at(renumbered) == 1


async def test_the_file_itself_lets_no_entry_be_changed_or_cut(tmp_path: Path) -> None:
    stage = Stage(book=SqliteVerdicts(tmp_path / "trust.sqlite"))
    await stage.glass.break_by(statement("ann", "bob"), RULE, IMAGE)
    await stage.book.close()
    raw = sqlite3.connect(tmp_path / "trust.sqlite")
    for sql in ("UPDATE audit SET text = 'x'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            raw.execute(sql)
    raw.close()


async def test_what_is_open_outlives_a_restart_and_ends_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "trust.sqlite"
    first = Stage(book=SqliteVerdicts(path))
    await first.glass.break_by(statement("ann", "bob"), RULE, IMAGE)
    await first.book.close()
    again = Stage(clock=ManualClock(NOW + HOUR), book=SqliteVerdicts(path))
    assert again.is_open()
    again.clock.advance(HOUR)
    assert not again.is_open()
    await again.book.close()


def test_signing_twice_with_one_key_keeps_one_signature() -> None:
    made = glass_statement(GLASS)
    for _ in range(2):
        made = made.signed(pub("ann"), sign(key("ann"), made.message))
    assert len(made.signatures) == 1


def test_a_day_is_longer_than_a_glass_may_stay_broken() -> None:
    assert GLASS_SECONDS_MAX <= DAY
