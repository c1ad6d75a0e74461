"""A whole node in this process, with real sockets around it: what it counts and what it tells."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import Image, push
from skerry.app.drill.processes import toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from tests.rig import images, nodes
from tests.rig.guarded import GuardedRegistry, ObjectStore
from tests.rig.nodes import HOST, PASSWORD, USER

NAME = "team/tide"
SECRET = "drowned-treasure"
FRESH, STALE = "fresh", "stale"
MISSES, STALES, HITS_BY_TAG, HITS_BY_DIGEST, FAILURES = 98, 200, 500, 200, 7


class Scene:
    """A node, the guarded registry it mirrors and the object store behind that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = GuardedRegistry(user="robot", password=SECRET)
        self.store = ObjectStore(self.registry)
        self.node: Node

    async def open(self) -> None:
        await self.registry.server.start()
        await self.store.server.start()
        password = self.folder / "password"
        password.write_text(SECRET)
        base = nodes.settings(
            self.registry.server.url,
            windows={FRESH: "1h"},
            window="1ms",
            username="robot",
            password_file=str(password),
            redirect_hosts=[self.store.server.authority],
        )
        base["doors"] = {"registry": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        base["node"] = {"name": "rock", "data_dir": str(self.folder / "data")}
        config = self.folder / "skerry.toml"
        config.write_text(toml_text(nodes.with_local(base, self.folder)))
        self.node = Node(load(config, {}, {}))
        await self.node.start()

    async def close(self) -> None:
        await self.node.stop()
        await self.registry.server.close()
        await self.store.server.close()

    async def cut(self) -> None:
        await self.registry.server.close()

    async def manifest(self, reference: object, name: str = NAME) -> Got:
        client = RegistryClient(f"127.0.0.1:{self.node.registry_port}")
        return await asyncio.to_thread(client.manifest, f"{HOST}/{name}", reference)

    async def blob(self, digest: object) -> Got:
        client = RegistryClient(f"127.0.0.1:{self.node.registry_port}")
        return await asyncio.to_thread(client.blob, f"{HOST}/{NAME}", digest)

    async def admin(self, path: str, token: str = "") -> Got:
        fields = [("Authorization", f"Bearer {token}")] if token else []
        client = RegistryClient(f"127.0.0.1:{self.node.admin_port}")
        return await asyncio.to_thread(client.get, path, *fields)

    async def sample(self, line: str) -> float:
        """One sample of /metrics, 0 when it is not there."""
        exposed = (await self.admin("/metrics")).body.decode()
        found = [row for row in exposed.splitlines() if row.startswith(f"{line} ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    async def answers(self, kind: str, outcome: str) -> float:
        labels = f'class="public",kind="{kind}",outcome="{outcome}"'
        return await self.sample(f"skerry_registry_answers_total{{{labels}}}")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    await made.open()
    yield made
    await made.close()


async def test_a_known_mix_of_pulls_stands_in_the_metrics_exactly(scene: Scene) -> None:
    """Requirement S1: hits, stale answers, misses and failures to the unit, on both ways."""
    for number in range(MISSES):
        scene.registry.push(NAME, images.small(100 + number), f"{FRESH}-{number}")
    image = images.small(99)
    for tag in (FRESH, STALE):
        scene.registry.push(NAME, image, tag)
        assert (await scene.manifest(tag)).status == 200
    for number in range(MISSES):
        assert (await scene.manifest(f"{FRESH}-{number}")).status == 200
    for blob in image.blobs:
        assert (await scene.blob(blob.digest)).body == blob.data
    await scene.cut()
    for _ in range(HITS_BY_TAG):
        assert (await scene.manifest(FRESH)).status == 200
    for _ in range(HITS_BY_DIGEST):
        assert (await scene.manifest(image.digest)).status == 200
    for _ in range(STALES):
        assert "110" in (await scene.manifest(STALE)).headers.joined("Warning")
    for number in range(FAILURES):
        assert (await scene.manifest(f"none-{number}")).status == 503
    for blob in image.blobs:
        assert (await scene.blob(blob.digest)).body == blob.data

    assert await scene.answers("manifest", "miss") == MISSES + 2
    assert await scene.answers("manifest", "hit") == HITS_BY_TAG + HITS_BY_DIGEST
    assert await scene.answers("manifest", "stale") == STALES
    assert await scene.answers("manifest", "unavailable") == FAILURES
    assert await scene.answers("blob", "miss") == await scene.answers("blob", "hit") == 3
    fast = await scene.sample("skerry_registry_hot_answers_total")
    assert fast == HITS_BY_TAG + HITS_BY_DIGEST - 2, "all but the first by tag and by digest"
    timed = 'skerry_registry_answer_seconds_count{kind="manifest",outcome="stale"}'
    assert await scene.sample(timed) == STALES


async def test_a_hundred_thousand_names_do_not_grow_the_metrics(scene: Scene) -> None:
    """Requirement S1: labels are ours, never a client's."""
    await scene.cut()
    before = len((await scene.admin("/metrics")).body.splitlines())
    for number in range(200):
        await scene.manifest("1", f"flood/r{number}")
    after = len((await scene.admin("/metrics")).body.splitlines())
    assert after - before < 60, "one new outcome at most"


async def test_t08_nothing_a_node_says_or_keeps_holds_a_secret(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Every logger at DEBUG: pulls with tokens, signed redirects, pushes, wrong passwords."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0  # every step is logged with its task and what that holds
    scene.registry.blobs_at = f"{scene.store.server.url}"
    image = images.small(98)
    scene.registry.push(NAME, image, FRESH)
    assert (await scene.manifest(FRESH)).status == 200
    for blob in image.blobs:
        assert (await scene.blob(blob.digest)).body == blob.data
    await _push(scene, image, PASSWORD)
    wrong = await _push_wrongly(scene, "open-sesame-wrong")
    assert wrong.status == 401
    token = (scene.folder / "data" / "admin.token").read_text().strip()
    status = await scene.admin("/api/v1/status", token)
    events = await scene.admin("/api/v1/events", token)
    assert (status.status, events.status) == (200, 200)
    assert (await scene.admin("/api/v1/status", "guessed-admin-token")).status == 401
    scene.registry.given.clear()  # every token is void: one more challenge
    assert (await scene.manifest("none")).status == 404
    await scene.cut()
    assert (await scene.manifest("none-either")).status == 503

    secrets = {
        SECRET, PASSWORD, "open-sesame-wrong", "guarded-token-", "signed-url-secret",
        "guessed-admin-token", token,
        *(base64.b64encode(f"{user}:{word}".encode()).decode()
          for user, word in (("robot", SECRET), (USER, PASSWORD), (USER, "open-sesame-wrong"))),
    }  # fmt: skip
    said = "\n".join(
        f"{record.getMessage()} {record.args!r} {record.exc_text or ''}"
        for record in caplog.records
    )
    assert "asyncio" in {record.name for record in caplog.records}, "DEBUG is off"
    exposed = (await scene.admin("/metrics")).body + status.body + events.body
    kept = b"".join(
        path.read_bytes()
        for path in (scene.folder / "data").rglob("*")
        if path.is_file() and path.name != "admin.token"
    )
    for secret in secrets:
        assert secret not in said, "a log holds a secret"
        assert secret.encode() not in exposed, "the admin door tells a secret"
        assert secret.encode() not in kept, "the data directory holds a secret"


async def _push(scene: Scene, image: Image, password: str) -> None:
    authority = f"127.0.0.1:{scene.node.registry_port}"
    client = RegistryClient(authority, user=USER, password=password)
    await asyncio.to_thread(push, client, "local/tide", image, "1")


async def _push_wrongly(scene: Scene, password: str) -> Got:
    authority = f"127.0.0.1:{scene.node.registry_port}"
    client = RegistryClient(authority, user=USER, password=password)
    return await asyncio.to_thread(client.send, "POST", "/v2/local/tide/blobs/uploads/")
