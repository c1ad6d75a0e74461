"""The watch raises a drift once, holds the names below it, and is deaf to outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from skerry.aio.tasks import Nursery
from skerry.app.trust.signing_keys import SigningKey
from skerry.base.clock import ManualClock
from skerry.telemetry.events import Events
from skerry.telemetry.horizon import Expires, Expiry
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.core.delegation import Aspect, Delegation, Expected, Registration
from skerry.trust.core.domain_state import Envelope, signed, write_envelope, write_state
from skerry.trust.core.threshold import Format, TrustedKey, policy
from skerry.trust.delegation_watch import DelegationWatch, Watched
from skerry.trust.pins import KeptPins
from skerry.trust.ports import NamePin
from skerry.trust.testing_names import MemoryPinBook
from skerry.trust.testing_watch import MemoryAuthorities, MemoryRegistrars, MemoryWatchBook
from skerry.trust.watch_ports import Zone

DOMAIN = "example.org"
EVERY, DAY = 20.0, 86400.0
NS = frozenset({"ns1.example.net", "ns2.example.net"})
GOOD = Delegation(NS, NS, frozenset({"1 13 2 aa"}), frozenset())
STOLEN = replace(GOOD, ns=frozenset({"ns.evil.example"}))
KEY, OTHER = (SigningKey(Ed25519PrivateKey.generate()) for _ in range(2))
POLICY = policy(DOMAIN, threshold=1, keys=[TrustedKey(KEY.public, "anna")], formats=[Format.BUNDLE])


def state(version: int = 1, key: SigningKey = KEY, **changes: object) -> bytes:
    expected = Expected(DOMAIN, version, NS, frozenset({"1 13 2 aa"}), frozenset())
    expected = replace(expected, **changes)  # type: ignore[arg-type]
    return write_envelope(
        signed(Envelope(write_state(expected, made_at=0.0)), key.public, key.sign)
    )


class Scene:
    """A watch over one domain, and hands on everything around it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.authorities, self.registrars = MemoryAuthorities(), MemoryRegistrars()
        self.authorities.says[DOMAIN] = GOOD
        self.book, self.pin_book = MemoryWatchBook(), MemoryPinBook()
        self.file: bytes | None = state()
        self.live()

    def live(self) -> None:
        """A new life of the node."""
        self.events = Events(self.clock.now)
        self.failures = ValidationFailures(Registry())
        self.crashes: list[BaseException] = []
        self.nursery = Nursery(on_crash=lambda _, error: self.crashes.append(error))
        self.pins = KeptPins(self.pin_book, clock=self.clock, events=self.events)
        self.watch = DelegationWatch(
            [Watched(Zone(DOMAIN), self.read, POLICY, 30 * DAY)],
            authorities=self.authorities,
            registrars=self.registrars,
            book=self.book,
            pins=self.pins,
            clock=self.clock,
            now=self.clock.now,
            events=self.events,
            failures=self.failures,
            nursery=self.nursery,
            chance=Random(1),
            every_seconds=EVERY,
            registrar_seconds=DAY,
        )
        self.domain = self.watch.domains[DOMAIN]

    async def read(self) -> bytes:
        if self.file is None:
            raise FileNotFoundError(2, "No such file or directory")
        return self.file

    async def look(self, times: int = 2) -> None:
        for _ in range(times):
            await self.domain.look()

    def told(self) -> list[str]:
        kinds = ("domain.drift", "domain.drift_over", "domain.expires", "domain.state_accepted")
        return [e.kind.removeprefix("domain.") for e in self.events.recent() if e.kind in kinds]

    def held(self) -> bool:
        return self.pins.hold_of(f"registry.{DOMAIN}") is not None

    def counted(self) -> int:
        return self.failures.statistics()[Cause.DELEGATION_DRIFT]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    await made.nursery.close()
    assert not made.crashes


async def test_a_changed_delegation_is_told_once_counted_once_and_holds_the_names(
    scene: Scene,
) -> None:
    await scene.pins.keep(NamePin(f"registry.{DOMAIN}", ("192.0.2.1",), scene.clock.now()))
    await scene.look()
    assert scene.told() == ["state_accepted"]
    scene.authorities.says[DOMAIN] = STOLEN
    await scene.look(5)
    assert scene.told() == ["state_accepted", "drift"]
    assert scene.counted() == 1
    assert scene.held()
    await scene.pins.keep(NamePin(f"registry.{DOMAIN}", ("203.0.113.6",), scene.clock.now()))
    assert scene.pins.pin(f"registry.{DOMAIN}").addresses == ("192.0.2.1",)  # type: ignore[union-attr]
    event = scene.events.recent("domain.drift")[0]
    assert "ns.evil.example" in event.cause
    assert "registrar" in event.next_step


async def test_names_are_let_go_when_the_drift_is_gone(scene: Scene) -> None:
    await scene.look()
    scene.authorities.says[DOMAIN] = STOLEN
    await scene.look()
    scene.authorities.says[DOMAIN] = GOOD
    await scene.look()
    assert scene.told()[-1] == "drift_over"
    assert not scene.held()
    assert scene.counted() == 1


async def test_names_are_let_go_when_the_owner_signs_the_new_state(scene: Scene) -> None:
    await scene.look()
    scene.authorities.says[DOMAIN] = replace(STOLEN, own_ns=STOLEN.ns)
    await scene.look()
    assert scene.held()
    scene.file = state(2, ns=STOLEN.ns)
    await scene.look()
    assert scene.told() == ["state_accepted", "drift", "state_accepted", "drift_over"]
    assert not scene.held()


async def test_an_outage_raises_nothing_and_ends_nothing(scene: Scene) -> None:
    await scene.look()
    scene.authorities.says.clear()
    await scene.look(20)
    assert scene.told() == ["state_accepted"]
    assert scene.counted() == 0
    scene.authorities.says[DOMAIN] = STOLEN
    await scene.look()
    scene.authorities.says.clear()
    await scene.look(20)
    assert scene.held()
    assert scene.told() == ["state_accepted", "drift"]


async def test_one_forged_answer_raises_nothing(scene: Scene) -> None:
    await scene.look()
    scene.authorities.once = [STOLEN, GOOD, STOLEN, GOOD]
    await scene.look(6)
    assert scene.told() == ["state_accepted"]


async def test_an_operators_own_hold_is_left_alone(scene: Scene) -> None:
    await scene.pins.hold(DOMAIN, "I do not like it")
    scene.authorities.says[DOMAIN] = STOLEN
    await scene.look()
    scene.authorities.says[DOMAIN] = GOOD
    await scene.look()
    assert scene.told()[-1] == "drift_over"
    assert scene.held()


@pytest.mark.parametrize(
    ("file", "what"),
    [
        (write_state(Expected(DOMAIN, 9, NS, frozenset(), frozenset()), made_at=0.0), "signatures"),
        (state(9, OTHER), "signatures"),
        (state(2), "rolled back"),
        (state(3, ns=STOLEN.ns), "another one of version 3"),
        (None, "cannot be read"),
        (b"{}", "cannot be read"),
    ],
)
async def test_a_state_that_is_not_believed_is_a_drift_and_the_last_one_stays_in_force(
    scene: Scene, file: bytes | None, what: str
) -> None:
    scene.file = state(3)
    await scene.look()
    scene.file = file
    await scene.look(3)
    assert scene.told() == ["state_accepted", "drift"]
    assert what in scene.events.recent("domain.drift")[0].cause
    assert scene.held()
    assert scene.domain.statistics().version == 3
    scene.file = state(3)
    await scene.look()
    assert scene.told()[-1] == "drift_over"
    assert not scene.held()


async def test_versions_only_rise_over_restarts(scene: Scene) -> None:
    scene.file = state(3)
    await scene.look()
    await scene.nursery.close()
    scene.file = state(2)
    scene.live()
    await scene.look()
    assert scene.told() == ["drift"]
    assert "rolled back to version 2" in scene.events.recent("domain.drift")[0].cause


async def test_a_drift_is_not_told_again_after_a_restart_and_still_ends(scene: Scene) -> None:
    await scene.look()
    scene.authorities.says[DOMAIN] = STOLEN
    await scene.look()
    await scene.nursery.close()
    scene.live()
    assert scene.held()
    await scene.look(3)
    assert scene.told() == []
    scene.authorities.says[DOMAIN] = GOOD
    await scene.look()
    assert scene.told() == ["drift_over"]
    assert not scene.held()


async def test_before_the_first_state_nothing_is_held(scene: Scene) -> None:
    scene.file = None
    scene.authorities.says[DOMAIN] = STOLEN
    await scene.look(3)
    # It is told of, but there is nothing yet that names could be held to.
    assert scene.told() == []
    assert len(scene.events.recent("domain.no_state")) == 1
    assert scene.counted() == 0
    assert not scene.held()


async def test_a_full_disk_changes_nothing_of_what_is_told(scene: Scene) -> None:
    scene.book.full = scene.pin_book.full = True
    await scene.look()
    scene.authorities.says[DOMAIN] = STOLEN
    await scene.look(3)
    assert scene.told() == ["state_accepted", "drift"]
    assert scene.held()
    assert scene.events.recent("domain.not_kept")


async def step(scene: Scene, true: Callable[[], bool], seconds: float = 1.0) -> float:
    """Lets time go by until something is so; how long that took."""
    begun = scene.clock.monotonic()
    async with asyncio.timeout(10):
        while not true():
            scene.clock.advance(seconds)
            for _ in range(20):
                await asyncio.sleep(0)
    return scene.clock.monotonic() - begun


async def test_a_change_is_told_within_a_minute(scene: Scene) -> None:
    scene.watch.start()
    await step(scene, lambda: scene.told() == ["state_accepted"])
    scene.authorities.says[DOMAIN] = STOLEN
    assert await step(scene, scene.held) < 60


async def test_the_registrar_is_asked_once_a_day_and_rarely_while_it_is_silent(
    scene: Scene,
) -> None:
    await scene.look()  # the state is read in a thread, which has a time of its own
    scene.watch.start()
    await step(scene, lambda: scene.registrars.asked == 1, 10.0)
    assert await step(scene, lambda: scene.registrars.asked == 2, 60.0) >= 0.9 * 3600
    assert await step(scene, lambda: scene.registrars.asked == 3, 60.0) >= 0.9 * 7200
    assert scene.events.recent("domain.registrar_silent")
    assert scene.told() == ["state_accepted"]
    scene.registrars.says[DOMAIN] = Registration(scene.clock.now() + 300 * DAY, frozenset())
    await step(scene, lambda: scene.domain.kept.registration is not None, 600.0)
    asked = scene.registrars.asked
    assert await step(scene, lambda: scene.registrars.asked > asked, 600.0) >= 0.85 * DAY


async def test_a_domain_about_to_be_deleted_is_a_drift_and_its_end_is_on_the_horizon(
    scene: Scene,
) -> None:
    ends = scene.clock.now() + 300 * DAY
    await scene.look()
    assert scene.watch.expiries() == ()
    doomed = Registration(ends, frozenset({"pending delete"}))
    await scene.domain.registered(doomed)
    await scene.look(1)
    assert scene.told() == ["state_accepted", "drift"]
    assert scene.held()
    assert scene.watch.expiries() == (Expiry(Expires.DOMAIN, DOMAIN, ends),)
    await scene.domain.registered(Registration(ends, frozenset({"active"})))
    await scene.look(1)
    assert scene.told()[-1] == "drift_over"


async def test_a_registrars_word_does_not_confirm_what_name_servers_said_once(
    scene: Scene,
) -> None:
    await scene.look()
    scene.authorities.once = [STOLEN]
    await scene.look(1)
    await scene.domain.registered(Registration(None, frozenset()))
    assert scene.told() == ["state_accepted"]


async def test_a_registration_near_its_end_is_told_and_counts_as_no_attack(scene: Scene) -> None:
    await scene.look()
    ends = scene.clock.now() + 10 * DAY
    await scene.domain.registered(Registration(ends, frozenset()))
    await scene.look(2)
    assert scene.told() == ["state_accepted", "expires"]
    assert scene.counted() == 0
    assert not scene.held()
    assert [d.aspect for d in scene.domain.statistics().drifts] == [Aspect.EXPIRY]
