"""Each shape of attack raises exactly its own count, and attacks stand apart from mistakes (S4)."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from skerry.app.drill.images import Piece, image, noise
from skerry.app.drill.processes import toml_text
from skerry.app.node import Node as WholeNode
from skerry.app.settings.load import load
from skerry.app.trust.node_key import ensure_key
from skerry.cdn.sibling_link import PURGES_PATH
from skerry.telemetry.validation import BLAMES, Blame, Cause
from skerry.upstream.ports import Dial, Exchange, TransportError, Trouble
from skerry.wire.message import Headers, Interim
from tests.cdn.sibling_world import Site, request_of
from tests.registry.push_rig import Node
from tests.registry.world import FakeExchange, World
from tests.rig.telling import sample_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TAG = "/v2/evil/image/manifests/1"
HONEST = image([{"f": noise(1, 40_000)}])

Attack = Callable[[World], Awaitable[None]]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


def answers(world: World, *script: tuple[int, tuple[tuple[str, str], ...]]) -> None:
    """Has the upstream answer whatever it is asked by these, the last again and again."""
    left = list(script)

    async def send(
        method: str,
        url: str,
        headers: Headers,
        dial: Dial,
        body: bytes = b"",
        interim: Interim | None = None,
    ) -> Exchange:
        status, fields = left.pop(0) if len(left) > 1 else left[0]
        return FakeExchange(status, Headers(fields), b"")

    world.hub.send = send  # type: ignore[method-assign]


async def other_bytes_for_a_blob(world: World) -> None:
    world.hub.push("evil/image", HONEST, "1")
    blob = HONEST.blobs[-1]
    path = f"/v2/evil/image/blobs/{blob.digest}"
    world.hub.lie[path] = blob.data[:-1] + bytes([blob.data[-1] ^ 1])
    await world.get(TAG)
    await world.get(path)


async def other_bytes_for_a_manifest(world: World) -> None:
    world.hub.push("evil/image", HONEST)
    path = f"/v2/evil/image/manifests/{HONEST.digest}"
    world.hub.lie[path] = HONEST.manifest.data + b" "
    await world.get(path)


async def a_digest_field_that_lies(world: World) -> None:
    made = Piece.of(MANIFEST, HONEST.manifest.data)
    other = Piece.of(MANIFEST, b"other")
    world.hub.content[TAG] = (MANIFEST, made.data, str(other.digest))
    await world.get(TAG)


def serve_manifest(world: World, data: bytes, kind: str = MANIFEST) -> None:
    made = Piece.of(kind, data)
    world.hub.content[TAG] = (kind, data, str(made.digest))


async def an_ambiguous_manifest(world: World) -> None:
    document = json.loads(HONEST.manifest.data)
    serve_manifest(world, json.dumps(document | {"manifests": []}).encode())
    await world.get(TAG)


async def a_manifest_of_another_type_than_it_says(world: World) -> None:
    document = json.loads(HONEST.manifest.data) | {"mediaType": MANIFEST}
    index = "application/vnd.oci.image.index.v1+json"
    serve_manifest(world, json.dumps(document).encode(), index)
    await world.get(TAG)


async def a_manifest_that_is_too_long(world: World) -> None:
    serve_manifest(world, bytes(5 << 20))
    await world.get(TAG)


async def a_manifest_that_is_too_long_by_digest(world: World) -> None:
    made = Piece.of(MANIFEST, bytes(5 << 20))
    path = f"/v2/evil/image/manifests/{made.digest}"
    world.hub.content[path] = (MANIFEST, made.data, str(made.digest))
    await world.get(path)


async def referrers_that_are_no_index(world: World) -> None:
    world.hub.push("evil/image", HONEST, "1")
    world.hub.referrers_api = False
    fallback = str(HONEST.digest).replace(":", "-")
    path = f"/v2/evil/image/manifests/{fallback}"
    world.hub.content[path] = (MANIFEST, b"[]", str(Piece.of(MANIFEST, b"[]").digest))
    await world.get(f"/v2/evil/image/referrers/{HONEST.digest}")


async def a_realm_elsewhere(world: World) -> None:
    realm = 'Bearer realm="https://evil.example/token",service="x"'
    answers(world, (401, (("WWW-Authenticate", realm),)))
    await world.get(TAG)


async def a_redirect_inside(world: World) -> None:
    answers(world, (307, (("Location", "https://169.254.169.254/latest"),)))
    await world.get(TAG)


async def a_redirect_to_plain_http(world: World) -> None:
    answers(world, (307, (("Location", "http://cdn.example/x"),)))
    await world.get(TAG)


async def a_token_service_that_redirects(world: World) -> None:
    realm = 'Bearer realm="https://docker.io/token",service="x"'
    elsewhere = (307, (("Location", "https://evil.example/token"),))
    answers(world, (401, (("WWW-Authenticate", realm),)), elsewhere)
    await world.get(TAG)


async def a_name_that_leads_inside(world: World) -> None:
    async def send(*_: object, **__: object) -> Exchange:
        raise TransportError(Trouble.FORBIDDEN_ADDRESS, "docker.io resolves to 10.0.0.1")

    world.hub.send = send  # type: ignore[method-assign]
    await world.get(TAG)


ATTACKS: list[tuple[Attack, Cause]] = [
    (other_bytes_for_a_blob, Cause.DIGEST_MISMATCH),
    (other_bytes_for_a_manifest, Cause.DIGEST_MISMATCH),
    (a_digest_field_that_lies, Cause.DIGEST_MISMATCH),
    (an_ambiguous_manifest, Cause.MANIFEST_REFUSED),
    (a_manifest_of_another_type_than_it_says, Cause.MANIFEST_REFUSED),
    (a_manifest_that_is_too_long, Cause.MANIFEST_REFUSED),
    (a_manifest_that_is_too_long_by_digest, Cause.MANIFEST_REFUSED),
    (referrers_that_are_no_index, Cause.MANIFEST_REFUSED),
    (a_realm_elsewhere, Cause.REALM_REFUSED),
    (a_redirect_inside, Cause.REDIRECT_REFUSED),
    (a_redirect_to_plain_http, Cause.REDIRECT_REFUSED),
    (a_token_service_that_redirects, Cause.REDIRECT_REFUSED),
    (a_name_that_leads_inside, Cause.ADDRESS_REFUSED),
]


@pytest.mark.parametrize(
    ("attack", "cause"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS]
)
async def test_each_attack_raises_exactly_its_own_count(
    world: World, attack: Attack, cause: Cause
) -> None:
    await attack(world)
    await world.settle()
    assert {each: count for each, count in world.failures.statistics().items() if count} == {
        cause: 1
    }
    assert BLAMES[cause] is Blame.ATTACK
    told = [event for event in world.events.recent() if event.next_step]
    assert told, "an operator is told what to do"


async def test_an_outage_is_no_attack_and_no_mistake(world: World) -> None:
    for trouble in (Trouble.DNS, Trouble.REFUSED, Trouble.TLS, Trouble.STALL, Trouble.CUT):
        world.hub.down = trouble
        await world.get(TAG)
    world.hub.down = None
    for status in (401, 403, 404, 429, 500, 503):
        world.hub.status = status
        await world.get(TAG)
        world.clock.advance(600)
    await world.settle()
    assert not any(world.failures.statistics().values())


async def test_a_push_that_is_not_what_it_says_is_a_mistake_of_the_clients() -> None:
    node = Node()
    await node.refused("PUT", "manifests/1", b"{}", Content_Type=MANIFEST)
    await node.refused("POST", f"blobs/uploads/?digest={HONEST.digest}", b"other bytes")
    counted = {each: count for each, count in node.failures.statistics().items() if count}
    assert counted == {Cause.PUSH_REFUSED: 2}
    assert BLAMES[Cause.PUSH_REFUSED] is Blame.MISCONFIGURATION


async def test_a_flood_of_attacks_is_counted_whole_and_told_in_bounds(world: World) -> None:
    an_answer = (307, (("Location", "https://169.254.169.254/latest"),))
    answers(world, an_answer)
    for number in range(300):
        await world.get(f"/v2/evil/image{number}/manifests/1")
    assert world.failures.statistics()[Cause.REDIRECT_REFUSED] == 300
    assert len(world.events.recent("redirect.refused")) <= 100


async def test_a_letter_that_no_sibling_wrote_is_counted() -> None:
    refused: list[str] = []
    site = Site("rock", "reef", refused=lambda: refused.append("letter"))
    await site.start()
    assert not refused
    door = site.door("rock")
    assert door is not None
    keys = site.keys_of("reef")
    forged = [
        (Headers(), b"{}"),
        (keys.sealed(PURGES_PATH, b"{}"), b"{ }"),
        (keys.sealed("/elsewhere", b"{}"), b"{}"),
    ]
    for headers, body in forged:
        assert (await door(request_of(PURGES_PATH, headers, body))).status == 403
    assert len(refused) == len(forged)
    line = 'skerry_sibling_letters_total{{kind="purges",outcome="{}"}}'
    metrics = site.worlds["rock"].metrics
    assert sample_of(metrics, line.format("refused")) == len(forged)
    assert sample_of(metrics, line.format("answered")) == door.statistics().answered["purges"] > 0


async def test_a_node_counts_a_letter_that_no_sibling_wrote_as_that_and_nothing_else(
    tmp_path: Path,
) -> None:
    key = tmp_path / "reef.pub"
    key.write_text(ensure_key(tmp_path).public_pem)
    beside = {"name": "reef", "url": "http://127.0.0.1:9", "plain_http": True}
    config = tmp_path / "skerry.toml"
    config.write_text(
        toml_text({
            "node": {"name": "rock", "data_dir": str(tmp_path / "data")},
            "doors": dict.fromkeys(("registry", "edge", "admin"), "127.0.0.1:0"),
            "sibling": [{**beside, "public_key_file": str(key)}],
            "site": [{"hosts": ["a.example"], "origins": ["https://origin.example"]}],
        })
    )  # fmt: skip
    node = WholeNode(load(config, {}, {}))
    await node.start()
    try:
        link = http.client.HTTPConnection("127.0.0.1", node.registry_port, timeout=20)
        await asyncio.to_thread(link.request, "POST", PURGES_PATH, b"{}")
        assert (await asyncio.to_thread(link.getresponse)).status == 403
        link.close()
        counted = {each: n for each, n in node.failures.statistics().items() if n}
        assert counted == {Cause.SIBLING_REFUSED: 1}
        line = 'skerry_sibling_letters_total{kind="purges",outcome="refused"}'
        assert sample_of(node.metrics, line) == 1
    finally:
        await node.stop()
