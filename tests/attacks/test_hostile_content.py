"""T10 to T22 against a whole node: what a hostile registry gives for what was asked.

Each attack is made over TLS on loopback; `judge` says what every one must come to.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest

from skerry.upstream.testing_hostile import TAG, Ask, Attack, Said, Stage, Step
from skerry.upstream.testing_hostile_content import BODIES, DOCUMENTS, LISTS
from tests.rig.hostile import HostileWorld, error_of, judge, shown

ALL = (*BODIES, *DOCUMENTS, *LISTS)


def _spaced(ask: Ask, honest: Said, stage: Stage) -> Said:
    kept = tuple(pair for pair in honest.fields if pair[0] != "Docker-Content-Digest")
    spaced = b"\r\n\t " + honest.body.replace(b",", b" ,\n\n  ") + b"\n\n"
    return Said(200, kept, spaced)


SPACED = Attack("manifest-of-odd-spaces", "T21", Step.MANIFEST_BY_TAG, _spaced, None, served=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileWorld]:
    made = HostileWorld(tmp_path_factory.mktemp("content"), [*ALL, SPACED])
    yield made
    made.close()


def of(*failures: str, step: Step | None = None) -> list[Attack]:
    """The attacks that repeat these failures."""
    found = [a for a in ALL if a.failure in failures and step in (None, a.step)]
    assert found
    return found


def named(attack: object) -> str:
    return attack.name if isinstance(attack, Attack) else str(attack)


def recovers(world: HostileWorld, attack: Attack) -> None:
    """Nothing of the attack is left: the next honest answer is served, and then it is kept."""
    registry = world.of(attack)
    registry.armed = False
    got = world.provoke(attack)
    assert (got.status, got.whole) == (200, True), shown(got)
    assert world.is_kept(got.body)
    registry.armed = True


@pytest.mark.parametrize("attack", of("T10"), ids=named)
def test_t10_other_bytes_are_never_whole_nor_kept(world: HostileWorld, attack: Attack) -> None:
    judge(world, attack)
    wanted = list(world.of(attack).wares.blobs.values())[-1]
    assert not world.is_kept(wanted)
    recovers(world, attack)


@pytest.mark.parametrize("attack", of("T11"), ids=named)
def test_t11_a_page_with_200_is_no_answer_and_no_sign_of_health(
    world: HostileWorld, attack: Attack
) -> None:
    judge(world, attack)
    for _ in range(2):
        world.provoke(attack)
    asked = len(world.of(attack).asked)
    told = world.provoke(attack)
    if attack.name.endswith("page"):
        assert "left alone" in told.text(), "its breaker is open"
        assert len(world.of(attack).asked) == asked


@pytest.mark.parametrize("attack", of("T12"), ids=named)
def test_t12_a_manifest_is_what_its_digest_says_or_nothing(
    world: HostileWorld, attack: Attack
) -> None:
    judge(world, attack)
    assert not world.is_kept(world.of(attack).wares.manifest)
    recovers(world, attack)


@pytest.mark.parametrize("attack", of("T13"), ids=named)
def test_t13_a_body_that_ends_wrong_is_not_kept(world: HostileWorld, attack: Attack) -> None:
    got = judge(world, attack)
    if attack.served:
        assert world.is_kept(got.body)
    else:
        assert not any(world.is_kept(blob) for blob in world.of(attack).wares.blobs.values())
        assert not world.is_kept(world.of(attack).wares.manifest)


@pytest.mark.parametrize("attack", of("T16", "T19"), ids=named)
def test_t16_t19_no_bytes_and_a_part_are_not_the_whole(world: HostileWorld, attack: Attack) -> None:
    judge(world, attack)
    assert not any(world.is_kept(blob) for blob in world.of(attack).wares.blobs.values())


@pytest.mark.parametrize("attack", [a for a in DOCUMENTS if a.failure != "T22"], ids=named)
@pytest.mark.parametrize("by_digest", [False, True], ids=["by tag", "by digest"])
def test_t18_t20_a_manifest_that_misleads_is_refused_by_every_name(
    world: HostileWorld, attack: Attack, by_digest: bool
) -> None:
    refused_by_name(world, attack, by_digest=by_digest)


@pytest.mark.parametrize("attack", [a for a in BODIES if a.failure == "T20"], ids=named)
def test_t20_a_manifest_that_came_as_another_type_is_refused(
    world: HostileWorld, attack: Attack
) -> None:
    assert error_of(judge(world, attack)) == "MANIFEST_INVALID"
    assert not world.is_kept(world.of(attack).wares.manifest)


@pytest.mark.parametrize("attack", of("T22"), ids=named)
def test_t22_what_is_out_of_bounds_is_refused_or_bounded(
    world: HostileWorld, attack: Attack
) -> None:
    got = judge(world, attack)
    assert len(got.body) < 300_000
    assert len(world.of(attack).asked) < 30


@pytest.mark.parametrize("attack", [a for a in DOCUMENTS if a.failure == "T22"], ids=named)
def test_t22_a_document_out_of_bounds_is_refused_by_its_digest_too(
    world: HostileWorld, attack: Attack
) -> None:
    refused_by_name(world, attack, by_digest=True)


@pytest.mark.parametrize("attack", of("T5"), ids=named)
def test_t05_a_list_that_goes_on_elsewhere_is_asked_for_at_home(
    world: HostileWorld, attack: Attack
) -> None:
    judge(world, attack)


def refused_by_name(world: HostileWorld, attack: Attack, *, by_digest: bool) -> None:
    """A document is refused though its bytes are what its digest says, and is not kept."""
    _, digest = world.of(attack).poisoned()
    if by_digest:
        before = world.causes()
        got = world.ask(attack, f"/manifests/{digest}")
        counted = {name: count for name, count in (world.causes() - before).items() if count}
        assert attack.cause is not None
        assert counted == {attack.cause.value: 1}
    else:
        got = judge(world, attack)
    assert got.status in (502, 503)
    assert error_of(got) in ("MANIFEST_INVALID", "UNAVAILABLE")
    held = world.ask(attack, f"/manifests/{digest}", method="HEAD")
    assert held.status != 200, "nothing of it is served later"


@pytest.mark.parametrize(
    "path",
    [
        "/manifests/sha256:../../../etc/passwd", "/blobs/sha256:" + "AB" * 32,
        "/blobs/sha256:abcd", "/blobs/md5:" + "ab" * 16, "/blobs/sha256:..%2f..%2fetc",
        "/manifests/..%2f..%2fetc", "/%2e%2e/manifests/1", "/../manifests/1", "//manifests/1",
        "/a%2fb/manifests/1", "/a%5cb/manifests/1", "/A/manifests/1", "/manifests/%2e%2e",
        "/manifests/a%00b", "/referrers/sha256:..",
    ],
)  # fmt: skip
def test_t18_a_path_in_disguise_asks_nobody_for_anything(world: HostileWorld, path: str) -> None:
    asked = len(world.asked)
    got = world.ask(SPACED, path)
    assert got.status in (400, 404), got.text()
    if got.headers.get("Content-Type") == "application/json":
        assert error_of(got)
    assert len(world.asked) == asked


def test_t21_the_bytes_of_a_manifest_are_served_as_they_came(world: HostileWorld) -> None:
    body, digest = world.of(SPACED).poisoned()
    for _ in range(3):
        got = judge(world, SPACED)
        assert got.body == body
        assert got.headers.get("Docker-Content-Digest") == digest
    assert world.ask(SPACED, f"/manifests/{digest}").body == body


def test_nothing_is_ever_unpacked_on_the_way(
    world: HostileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer is a gzip of who knows what: a bomb is for whoever opens it, and we never do."""
    opened: list[str] = []

    def refuse(*args: object, **more: object) -> bytes:
        opened.append("opened")
        raise AssertionError("a body was unpacked")

    for module, names in ((zlib, ("decompress", "decompressobj")), (gzip, ("decompress", "open"))):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    registry = world.of(SPACED)
    layer = list(registry.wares.blobs)[-1]
    assert registry.wares.blobs[layer][:2] == b"\x1f\x8b", "this one is a gzip"
    for _ in range(3):
        assert world.ask(SPACED, f"/manifests/{TAG}").status == 200
        assert world.ask(SPACED, f"/blobs/{layer}").body == registry.wares.blobs[layer]
    assert not opened
