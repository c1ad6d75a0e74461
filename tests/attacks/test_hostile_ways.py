"""T1 to T9 against a whole node: where a hostile registry would have it go, and what it is sent.

Each attack is made over TLS on loopback; `judge` says what every one must come to.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skerry.base.digest import digest_of
from skerry.telemetry.validation import Cause
from skerry.upstream.core.redirect import REDIRECTS_MAX
from skerry.upstream.testing_hostile import Attack, Said, Stage, Step, instead, with_field
from skerry.upstream.testing_hostile_ways import WAYS
from tests.rig.hostile import LISTED, SECRET, HostileWorld, error_of, judge

EVIL = 'Bearer realm="https://evil.test:{port}/token",service="s"'
PATHS = ("/manifests/1", "/manifests/sha256:" + "ab" * 32, "/blobs/sha256:" + "ab" * 32,
         "/tags/list", "/referrers/sha256:" + "ab" * 32)  # fmt: skip


def _at_a_listed_host(ask: object, honest: Said, stage: Stage) -> Said:
    place = stage.fill("https://{listed}:{port}/")
    return Said(307, (("Location", f"{place}{digest_of(honest.body)}"),))


STRANGER = Attack(
    "stranger-on-every-path", "T3", Step.CHALLENGE, with_field("WWW-Authenticate", EVIL),
    Cause.REALM_REFUSED,
)  # fmt: skip
LATER = Attack(
    "stranger-after-a-token", "T3", Step.MANIFEST_BY_TAG, instead(401, b"{}"), Cause.REALM_REFUSED
)
ELSEWHERE = Attack("blob-on-another-host", "T4", Step.BLOB, _at_a_listed_host, None, True)
MANIFEST_ELSEWHERE = Attack(
    "challenge-on-another-host", "T4", Step.MANIFEST_BY_TAG, _at_a_listed_host, None
)
MORE = (STRANGER, LATER, ELSEWHERE, MANIFEST_ELSEWHERE)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileWorld]:
    made = HostileWorld(tmp_path_factory.mktemp("ways"), [*WAYS, *MORE])
    yield made
    made.close()


def of(*failures: str) -> list[Attack]:
    """The attacks that repeat these failures."""
    found = [attack for attack in WAYS if attack.failure in failures]
    assert found
    return found


def named(attack: object) -> str:
    return attack.name if isinstance(attack, Attack) else str(attack)


@pytest.mark.parametrize("attack", of("T1"), ids=named)
def test_t01_a_realm_that_is_not_configured_gets_no_credential(
    world: HostileWorld, attack: Attack
) -> None:
    assert error_of(judge(world, attack)) == "DENIED"


@pytest.mark.parametrize("attack", of("T2"), ids=named)
def test_t02_a_realm_in_disguise_gets_no_credential(world: HostileWorld, attack: Attack) -> None:
    assert error_of(judge(world, attack)) == "DENIED"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
def test_t03_the_guard_stands_on_every_path(world: HostileWorld, path: str, method: str) -> None:
    before = world.causes()
    got = world.ask(STRANGER, path, method=method)
    assert got.status == 403
    counted = {name: count for name, count in (world.causes() - before).items() if count}
    assert set(counted) == {"realm_refused"}
    assert {host for host, _ in world.credentials_sent()} <= set(world.registries)


def test_t03_the_guard_stands_when_a_token_was_given_before(world: HostileWorld) -> None:
    registry = world.of(LATER)
    registry.armed = False
    assert world.ask(LATER, "/tags/list").status == 200, "a token is known from now on"
    registry.attack = Attack(
        LATER.name, "T3", Step.MANIFEST_BY_TAG,
        lambda ask, honest, stage: Said(401, (("WWW-Authenticate", stage.fill(EVIL)),)),
        Cause.REALM_REFUSED,
    )  # fmt: skip
    registry.armed = True
    assert error_of(judge(world, registry.attack)) == "DENIED"


def test_t04_a_redirect_to_another_host_takes_no_credential_along(world: HostileWorld) -> None:
    got = judge(world, ELSEWHERE)
    assert got.body == list(world.of(ELSEWHERE).wares.blobs.values())[-1]
    asked = [asked for host, asked in world.asked if host == LISTED]
    assert asked, "the blob came from there"
    assert not any(asked.value("Authorization") for asked in asked)


def test_t04_what_another_host_refuses_is_not_asked_again_with_a_credential(
    world: HostileWorld,
) -> None:
    assert error_of(judge(world, MANIFEST_ELSEWHERE)) == "DENIED"
    tokens = [ask for ask in world.of(MANIFEST_ELSEWHERE).asked if ask.path == "/token"]
    assert len(tokens) == 1, "none was fetched to answer the stranger"
    assert LISTED in {host for host, _ in world.asked}, "it was asked, as anybody"
    assert not any(asked.value("Authorization") for host, asked in world.asked if host == LISTED)


@pytest.mark.parametrize("attack", of("T5"), ids=named)
def test_t05_no_redirect_leads_where_the_node_may_not_go(
    world: HostileWorld, attack: Attack
) -> None:
    assert error_of(judge(world, attack)) == "UNAVAILABLE"
    assert len(world.of(attack).asked) <= 3 + REDIRECTS_MAX


@pytest.mark.parametrize(
    "query",
    [
        "?ns=127.0.0.1:{trap}", "?ns=localhost", "?ns=169.254.169.254", "?ns=evil.test",
        "?ns=[::1]:{trap}", "?ns=http://127.0.0.1:{trap}", "?ns=..", "?ns=a&ns=b",
    ],
)  # fmt: skip
def test_t07_a_client_names_no_upstream_that_is_not_configured(
    world: HostileWorld, query: str
) -> None:
    asked, caught = len(world.asked), world.trap.caught
    query = query.format(trap=world.trap.port)
    got = world.client.send("GET", f"/v2/library/app/manifests/1{query}")
    assert got.status in (400, 404)
    assert error_of(got) in ("NAME_UNKNOWN", "NAME_INVALID")
    got = world.client.send("GET", f"/v2/127.0.0.1:{world.trap.port}/a/manifests/1")
    assert error_of(got) == "NAME_UNKNOWN"
    assert (len(world.asked), world.trap.caught) == (asked, caught), "nobody was asked"


@pytest.mark.parametrize("attack", of("T9"), ids=named)
def test_t09_a_senseless_token_service_breaks_nothing(world: HostileWorld, attack: Attack) -> None:
    got = judge(world, attack)
    assert attack.served or error_of(got) in ("DENIED", "UNAVAILABLE")


@pytest.mark.parametrize("attack", of("T1", "T5")[:3], ids=named)
def test_after_an_attack_an_honest_answer_is_taken(world: HostileWorld, attack: Attack) -> None:
    world.provoke(attack)
    registry = world.of(attack)
    registry.armed = False
    got = world.provoke(attack)
    registry.armed = True
    assert got.body == registry.wares.manifest


def test_t08_nothing_the_attacks_left_behind_holds_the_password(world: HostileWorld) -> None:
    for attack in WAYS[:4]:
        assert SECRET not in world.provoke(attack).text()
    told = repr(world.node.events.recent())
    assert "credentials.withheld" in told
    assert SECRET not in told
