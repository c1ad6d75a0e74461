"""A node, and around it on real sockets every hostile registry there is.

Owns one TLS listener that is all hosts at once (each attack has a host, an upstream and a source of
its own, so that no breaker hides another attack), a name server for which every name is this
machine, and a trap: a port on this machine that nobody outside may reach through the node.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import Image
from skerry.app.drill.loop import LoopThread
from skerry.app.drill.names import NameServer
from skerry.app.drill.processes import Setting, toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from skerry.base.digest import digest_of
from skerry.upstream.testing_hostile import (
    TAG,
    Ask,
    Attack,
    Framing,
    Hostile,
    Said,
    Stage,
    Step,
    Wares,
)
from tests.rig import images
from tests.rig.http import Asked, TinyServer

SECRET = "salt-and-driftwood"
LISTED = "listed.up.test"


class Trap:
    """Counts who comes in; says nothing."""

    def __init__(self) -> None:
        self.caught = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.caught += 1
        writer.close()


async def _landed() -> None:
    """Until no fetch is under way, nor what is done with it: a client sees its end first."""
    while True:
        names = ("fill", "join")
        flying = [task for task in asyncio.all_tasks() if task.get_name().startswith(names)]
        if not flying:
            return
        await asyncio.wait(flying)


def wares_of(image: Image) -> Wares:
    """An image as a hostile registry has it."""
    blobs = {str(blob.digest): blob.data for blob in image.blobs}
    return Wares(image.manifest.data, image.manifest.media_type, str(image.digest), blobs)


class HostileWorld:
    """A node whose every upstream means harm. Close it."""

    def __init__(self, folder: Path, attacks: Iterable[Attack]) -> None:
        self.folder = folder
        self.trap = Trap()
        self.names = NameServer()
        self.registries: dict[str, Hostile] = {}
        self.asked: list[tuple[str, Asked]] = []
        self._attacks = tuple(attacks)
        self._loop = LoopThread()
        self._loop.__enter__()
        context, ca_file = tls_for(folder, ["*.up.test", "*.evil.test", "evil.test"])
        self._server = TinyServer(self._answer, tls=context)
        self.node = self._loop.run(self._open(ca_file))
        self.client = RegistryClient(f"127.0.0.1:{self.node.registry_port}")

    async def _open(self, ca_file: Path) -> Node:
        for listener in (self.trap, self.names, self._server):
            await listener.start()
        for attack in self._attacks:
            host = f"{attack.name}.up.test"
            stage = Stage(host, self._server.port, self.trap.port, LISTED)
            self.registries[host] = Hostile(
                attack,
                wares_of(images.small(900 + len(self.registries))),
                stage,
                named=lambda body: str(digest_of(body)),
            )
        config = self.folder / "skerry.toml"
        config.write_text(toml_text(self._settings(ca_file)))
        node = Node(load(config, {}, {}))
        await node.start()
        return node

    def _settings(self, ca_file: Path) -> Mapping[str, Setting]:
        password = self.folder / "password"
        password.write_text(SECRET)
        sources = {
            "username": "robot",
            "password_file": str(password),
            "redirect_hosts": [f"{LISTED}:{self._server.port}"],
            "ca_file": str(ca_file),
            "connect": "2s",
            "first_byte": "2s",
            "stall": "2s",
        }
        upstreams: list[Setting] = [
            {
                "name": host,
                "source": [
                    {"name": "origin", "url": f"https://{host}:{self._server.port}", **sources}
                ],
            }
            for host in self.registries
        ]
        return {
            "node": {"name": "rock", "data_dir": str(self.folder / "data")},
            "doors": {"registry": "127.0.0.1:0", "admin": "127.0.0.1:0"},
            "registry": {"answer_within": "10s", "companions": False, "negative_window": "1ms"},
            "dns": {"servers": [f"127.0.0.1:{self.names.port}"]},
            "upstream": upstreams,
        }

    def close(self) -> None:
        """Ends the node and all around it."""
        self._loop.run(self._end())
        self._loop.__exit__()

    async def _end(self) -> None:
        await self.node.stop()
        for listener in (self._server, self.names, self.trap):
            await listener.close()

    # one attack

    def of(self, attack: Attack) -> Hostile:
        """The registry that makes an attack."""
        return self.registries[f"{attack.name}.up.test"]

    def provoke(self, attack: Attack, *, method: str = "GET") -> Got:
        """Asks the node for what the attack poisons."""
        registry = self.of(attack)
        return self.client.send(method, f"/v2/{registry.stage.host}/team/app{_path(registry)}")

    def ask(self, attack: Attack, path: str, *, method: str = "GET") -> Got:
        """Asks the node for something else of the same registry."""
        return self.client.send(method, f"/v2/{self.of(attack).stage.host}/team/app{path}")

    def causes(self) -> Counter[str]:
        """What the node has not believed so far, by cause."""

        async def read() -> Counter[str]:
            await _landed()
            found = self.node.failures.statistics()
            return Counter({cause.value: count for cause, count in found.items()})

        return self._loop.run(read())

    def credentials_sent(self) -> set[tuple[str, str]]:
        """Host and path of every request that carried a credential to anybody."""
        names = ("authorization", "cookie", "proxy-authorization")
        return {
            (host, asked.path)
            for host, asked in self.asked
            if any(asked.value(name) for name in names)
        }

    def is_kept(self, data: bytes) -> bool:
        """Whether these bytes are in the node's store, once what is under way has ended."""
        self._loop.run(_landed())
        digest = digest_of(data)
        place = self.folder / "data" / "blobs" / digest.algorithm / digest.hex[:2] / digest.hex
        return place.exists()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        host = asked.value("Host").partition(":")[0]
        self.asked.append((host, asked))
        path, _, query = asked.target.partition("?")
        ask = Ask(asked.method, host, path, query, asked.value("Authorization"))
        writer.write(written(ask, self._registry(ask).answer(ask)))
        await writer.drain()

    def _registry(self, ask: Ask) -> Hostile:
        """Whose host this is, else whose blob is asked for at another host."""
        name = ask.path.rpartition("/")[2]
        holders = (each for each in self.registries.values() if name in each.wares.blobs)
        some = next(holders, next(iter(self.registries.values())))
        return self.registries.get(ask.host, some)


def _path(registry: Hostile) -> str:
    """What a client asks for, to meet the attack."""
    digest = next(iter(registry.wares.blobs))
    return {
        Step.CHALLENGE: f"/manifests/{TAG}",
        Step.TOKEN: f"/manifests/{TAG}",
        Step.MANIFEST_BY_TAG: f"/manifests/{TAG}",
        Step.MANIFEST_BY_DIGEST: f"/manifests/{registry.wares.digest}",
        Step.BLOB: f"/blobs/{list(registry.wares.blobs)[-1]}",
        Step.TAGS: "/tags/list",
        Step.REFERRERS: f"/referrers/{digest}",
    }[registry.attack.step]


def written(ask: Ask, said: Said) -> bytes:
    """An answer as bytes, true to its framing and to none of its lies."""
    body = said.body if said.cut_at_bytes is None else said.body[: said.cut_at_bytes]
    fields = [*said.fields, ("Connection", "close")]
    if said.framing is Framing.CHUNKED:
        fields.append(("Transfer-Encoding", "chunked"))
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    elif said.framing is Framing.LENGTH:
        announced = len(said.body) if said.announced_bytes is None else said.announced_bytes
        fields.append(("Content-Length", str(announced)))
    lines = [f"HTTP/1.1 {said.status} Hostile", *(f"{name}: {value}" for name, value in fields)]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if ask.method == "HEAD" else head + body


def tls_for(folder: Path, names: Iterable[str]) -> tuple[ssl.SSLContext, Path]:
    """A context for some names, and the file to trust it by."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    listed = ",".join(f"DNS:{name}" for name in names)
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        f" -subj /CN=hostile -addext subjectAltName={listed},IP:127.0.0.1"
        " -addext basicConstraints=critical,CA:FALSE"
    )
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


def error_of(got: Got) -> str:
    """The code of a standard error; the answer has to be one."""
    assert got.headers.get("Content-Type") == "application/json", got.headers
    errors = json.loads(got.body)["errors"]
    assert len(errors) == 1
    assert isinstance(errors[0]["message"], str)
    code = errors[0]["code"]
    assert isinstance(code, str)
    return code


def judge(world: HostileWorld, attack: Attack, *, method: str = "GET") -> Got:
    """Makes one attack and asserts what every one has to come to.

    The client gets a standard error, or a body that is seen to break off; exactly the attack's own
    cause is counted, once; nobody but the registry itself saw a credential; nobody came in.
    """
    before, sent, caught = world.causes(), world.credentials_sent(), world.trap.caught
    got = world.provoke(attack, method=method)
    counted = {name: count for name, count in (world.causes() - before).items() if count}
    assert counted == ({attack.cause.value: 1} if attack.cause else {}), (counted, shown(got))
    strangers = {place for place in world.credentials_sent() - sent if not _own(place, attack)}
    assert not strangers, "a credential went to somebody else"
    assert world.trap.caught == caught, "the node was led inside"
    if attack.served:
        assert (got.status, got.whole) == (200, True), shown(got)
    elif got.status == 200:
        assert not got.whole, "wrong bytes were called whole"
    else:
        assert got.status in (403, 502, 503), shown(got)
        assert method == "HEAD" or error_of(got)
    return got


def shown(got: Got) -> str:
    """For a failing assertion."""
    return f"{got.status} {got.trouble} {got.text() if got.status != 200 else got.size_bytes}"


def _own(place: tuple[str, str], attack: Attack) -> bool:
    return place[0] == f"{attack.name}.up.test"
