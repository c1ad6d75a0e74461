"""The vault's library dials by itself and follows redirects: by this way it goes nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skerry.adapters.guarded_way import GuardedWay
from skerry.adapters.obstore_vault import ObstoreVault, Place, open_vault
from skerry.adapters.resolver import NameResolver
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.cdn.vault.ports import VaultUnavailable
from skerry.upstream.ports import TransportError, Trouble
from tests.rig.hostile import Trap, tls_for
from tests.rig.http import Asked, Reply, TinyServer

HELD = Reply(200, (("ETag", '"1"'), ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")), b"kept")


@dataclass
class Scene:
    """A store that redirects as told, a trap, and a way that knows the store alone."""

    folder: Path
    refused: list[TransportError] = field(default_factory=list)
    location: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0

    async def open(self) -> None:
        crashes: list[BaseException] = []
        self.nursery = Nursery(on_crash=lambda name, error: crashes.append(error))
        self.trap, self.store = Trap(), TinyServer(self._answer)
        context, self.ca_file = tls_for(self.folder, ["store.test"])
        self.secure = TinyServer(self._answer, tls=context)
        for listener in (self.trap, self.store, self.secure):
            await listener.start()
        hosts = self.folder / "hosts"
        hosts.write_text("127.0.0.1 store.test inside.test\n169.254.169.254 turned.test\n")
        self.names = NameResolver(clock=SystemClock(), nursery=self.nursery, hosts_file=hosts)
        self.ways: list[GuardedWay] = []

    async def _answer(self, asked: Asked, _: asyncio.StreamWriter) -> Reply:
        return Reply(307, (("Location", self.location),)) if self.location else HELD

    def vault(self, endpoint: str, *, plain_http: bool, private: str) -> ObstoreVault:
        way = GuardedWay(
            names=self.names,
            nursery=self.nursery,
            private_hosts=frozenset({private}),
            plain_http=plain_http,
            connect_seconds=2,
            refused=self.refused.append,
            environment=self.environment,
        )
        self.ways.append(way)
        proxy_url = way.open()
        self.port = int(proxy_url.rpartition(":")[2])
        return open_vault(
            Place(
                "s3://bucket/prefix",
                endpoint=endpoint,
                plain_http=plain_http,
                ca_file=str(self.ca_file),
                proxy_url=proxy_url,
                credentials={"access_key_id": "a", "secret_access_key": "b"},
            )
        )

    def plain(self) -> ObstoreVault:
        return self.vault(
            f"http://store.test:{self.store.port}",
            plain_http=True,
            private=f"store.test:{self.store.port}",
        )

    async def close(self) -> None:
        for way in self.ways:
            await way.close()
        for listener in (self.trap, self.store, self.secure):
            await listener.close()
        await self.nursery.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    await made.open()
    yield made
    await made.close()


async def test_the_configured_store_is_reached_in_the_clear(scene: Scene) -> None:
    found = await scene.plain().head("one")
    assert found is not None
    assert found.size_bytes == 4
    [asked] = scene.store.log.asked
    assert asked.path == "/bucket/prefix/one"
    assert "AWS4-HMAC" in asked.value("Authorization")
    assert scene.refused == []


async def test_the_configured_store_is_reached_over_tls(scene: Scene) -> None:
    port = scene.secure.port
    vault = scene.vault(
        f"https://store.test:{port}", plain_http=False, private=f"store.test:{port}"
    )
    assert await vault.head("one") is not None
    assert scene.secure.log.count("/bucket/prefix/one") == 1
    assert scene.refused == []


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1:{trap}/", "http://inside.test:{trap}/", "http://store.test:{trap}/",
        "http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/", "http://turned.test/",
        "http://localhost:{trap}/", "http://2130706433:{trap}/", "https://127.0.0.1:{trap}/",
    ],
)  # fmt: skip
async def test_t05_a_store_that_redirects_inside_leads_nowhere(scene: Scene, place: str) -> None:
    scene.location = place.format(trap=scene.trap.port)
    with pytest.raises(VaultUnavailable):
        await scene.plain().head("one")
    assert scene.trap.caught == 0
    assert [error.trouble for error in scene.refused] == [Trouble.FORBIDDEN_ADDRESS]


async def test_without_the_way_the_library_would_have_gone_there(scene: Scene) -> None:
    """Why there is one; when this fails the way may be taken out."""
    scene.location = f"http://127.0.0.1:{scene.trap.port}/"
    place = Place("s3://b", endpoint=scene.store.url, plain_http=True)
    with pytest.raises(VaultUnavailable):
        await open_vault(place).head("one")
    assert scene.trap.caught == 1


async def test_a_store_by_tls_is_never_followed_into_the_clear(scene: Scene) -> None:
    port = scene.secure.port
    vault = scene.vault(
        f"https://store.test:{port}", plain_http=False, private=f"store.test:{port}"
    )
    scene.location = f"http://store.test:{port}/"
    with pytest.raises(VaultUnavailable):
        await vault.head("one")
    assert scene.secure.log.count("/", "HEAD") == 1


async def test_a_configured_name_that_turns_to_a_metadata_service_is_refused(scene: Scene) -> None:
    vault = scene.vault("http://turned.test:80", plain_http=True, private="turned.test:80")
    with pytest.raises(VaultUnavailable):
        await vault.head("one")
    assert [error.trouble for error in scene.refused] == [Trouble.FORBIDDEN_ADDRESS]


async def test_the_environments_proxy_is_gone_through(scene: Scene) -> None:
    scene.environment["http_proxy"] = f"http://user:word@127.0.0.1:{scene.store.port}"
    vault = scene.vault("http://far.test:8333", plain_http=True, private="far.test:8333")
    assert await vault.head("one") is not None
    [asked] = scene.store.log.asked
    assert asked.target == "http://far.test:8333/bucket/prefix/one"
    assert asked.value("Proxy-Authorization").startswith("Basic ")


async def test_a_store_that_is_down_is_unavailable_and_no_attack(scene: Scene) -> None:
    vault = scene.vault("http://127.0.0.1:1", plain_http=True, private="127.0.0.1:1")
    with pytest.raises(VaultUnavailable):
        await vault.head("one")
    assert [error.trouble for error in scene.refused] == [Trouble.REFUSED]


@pytest.mark.parametrize(
    "head",
    [
        "GET http://store.test:{port}/ HTTP/1.1", "CONNECT user@store.test:{port} HTTP/1.1",
        "GET /file HTTP/1.1", "GET file:///etc/passwd HTTP/1.1", "CONNECT [ HTTP/1.1",
    ],
)  # fmt: skip
async def test_what_is_no_way_to_a_tls_store_is_no_way(scene: Scene, head: str) -> None:
    scene.vault("https://store.test", plain_http=False, private=f"store.test:{scene.store.port}")
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(head.format(port=scene.store.port).encode() + b"\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
    writer.close()
    assert scene.store.log.asked == []
