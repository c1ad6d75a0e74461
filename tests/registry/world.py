"""A whole registry over memory twins, and an upstream that does as it is told.

The upstream's promise: it may be down in any way a source can fail, forget or move a tag, lie
about digests, rate-limit, and count what it is asked. It never invents bytes that nobody pushed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from random import Random

from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.adapters.sqlite_verdicts import SqliteVerdicts
from skerry.aio.tasks import Nursery
from skerry.app.drill.images import Image
from skerry.base.clock import ManualClock
from skerry.registry.assembly import Parts, Rules, assemble
from skerry.registry.core.freshness import TagWindow
from skerry.registry.core.names import NameTable, UpstreamName
from skerry.registry.core.users import Users
from skerry.registry.ports import Repository
from skerry.registry.remote import Remote
from skerry.registry.replies import Outcome
from skerry.registry.steward import FreeHand
from skerry.store.testing import MemoryStore, read_segment
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.trust.tokens.core.rules import Rule
from skerry.upstream.client import UpstreamClient
from skerry.upstream.fills import Fills
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.misses import Misses, MissMeters, MissRules
from skerry.upstream.ports import Dial, Exchange, TransportError, Trouble
from skerry.upstream.sources import Source, SourceKind, Upstream
from skerry.wire.message import Answer, Headers, Interim, Request
from tests.registry.known import access_of

WINDOW_SECONDS = 60.0


class FrugalSteward(FreeHand):
    """Holds back what it is told to: `factor` for tag windows, `warms` for fetching ahead."""

    def __init__(self) -> None:
        self.factor = 1.0
        self.warms = True
        self.told: list[tuple[str, Outcome, int]] = []

    def tally(
        self, repository: Repository | None, outcome: Outcome, uses: int, body_bytes: int
    ) -> None:
        self.told.append((str(repository or ""), outcome, uses))

    def window_factor(self, repository: Repository) -> float:
        return self.factor

    def may_warm(self, repository: Repository) -> bool:
        return self.warms


class FakeExchange:
    """One answer of the fake upstream; what comes after the first chunk waits for `rest`."""

    def __init__(
        self, status: int, headers: Headers, body: bytes, rest: asyncio.Event | None = None
    ) -> None:
        self.status = status
        self.headers = headers
        self._body = body
        self._rest = rest

    async def chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), 65536):
            if start and self._rest is not None:
                await self._rest.wait()
            yield self._body[start : start + 65536]

    def switched(self) -> None:
        return None

    async def close(self) -> None:
        pass


@dataclass
class FakeUpstream:
    """A registry host.

    Attributes:
        asked: `METHOD path` of every request, in order.
        down: the trouble every request runs into, None while it is up.
        status: the status every request gets, 0 for the truth.
        lie: added to what is given for a path.
        referrers_api: whether it has one; without it the fallback tag is asked.
        rest: until it is set, no body goes past its first 64 KiB.
    """

    asked: list[str] = field(default_factory=list)
    received: list[Headers] = field(default_factory=list)
    down: Trouble | None = None
    hang: bool = False
    status: int = 0
    retry_after: str = ""
    lie: dict[str, bytes] = field(default_factory=dict)
    referrers_api: bool = False
    digest_header: bool = True
    rest: asyncio.Event | None = None
    content: dict[str, tuple[str, bytes, str]] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    referrers: dict[str, list[Image]] = field(default_factory=dict)

    def push(self, name: str, image: Image, tag: str = "") -> None:
        """Makes an image, and all below it, be there."""
        for child in image.children:
            self.push(name, child)
        for blob in image.blobs:
            path = f"/v2/{name}/blobs/{blob.digest}"
            self.content[path] = ("application/octet-stream", blob.data, str(blob.digest))
        made = (image.manifest.media_type, image.manifest.data, str(image.digest))
        self.content[f"/v2/{name}/manifests/{image.digest}"] = made
        if tag:
            self.content[f"/v2/{name}/manifests/{tag}"] = made
            listed = self.tags.setdefault(name, [])
            listed.extend([] if tag in listed else [tag])

    def forget(self, name: str, tag: str) -> None:
        """Deletes a tag."""
        del self.content[f"/v2/{name}/manifests/{tag}"]
        self.tags[name].remove(tag)

    async def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        dial: Dial,
        body: bytes = b"",
        interim: Interim | None = None,
    ) -> Exchange:
        path = "/" + url.split("://", 1)[1].split("/", 1)[1].partition("?")[0]
        self.asked.append(f"{method} {path}")
        self.received.append(headers)
        if self.hang:
            await asyncio.Event().wait()
        if self.down is not None:
            raise TransportError(self.down, f"is {self.down.value}")
        if self.status:
            fields = (("Retry-After", self.retry_after),) if self.retry_after else ()
            return FakeExchange(self.status, Headers(fields), b"")
        status, found_headers, data = self._found(path)
        wanted = headers.get("Range")
        if wanted and status == 200:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            status = 206
            found_headers = found_headers.with_fields(
                ("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}"),
                ("Content-Length", str(len(data) - start)),
            )
            data = data[start:]
        return FakeExchange(status, found_headers, b"" if method == "HEAD" else data, self.rest)

    async def close(self) -> None:
        pass

    def gets(self) -> list[str]:
        """What cost a GET."""
        return [line.removeprefix("GET ") for line in self.asked if line.startswith("GET")]

    def _found(self, path: str) -> tuple[int, Headers, bytes]:
        if path.endswith("/tags/list"):
            name = path.removeprefix("/v2/").removesuffix("/tags/list")
            body = json.dumps({"name": name, "tags": self.tags.get(name, [])}).encode()
            return 200 if name in self.tags else 404, Headers(), body
        if "/referrers/" in path:
            if not self.referrers_api:
                return 404, Headers(), b""
            found = [
                image.manifest.descriptor(artifactType="application/example")
                for image in self.referrers.get(path.rpartition("/")[2], [])
            ]
            return 200, Headers(), json.dumps({"schemaVersion": 2, "manifests": found}).encode()
        if path not in self.content:
            return 404, Headers(), b""
        media_type, data, digest = self.content[path]
        data = self.lie.get(path, data)
        fields = [("Content-Type", media_type), ("Content-Length", str(len(data)))]
        if self.digest_header:
            fields.append(("Docker-Content-Digest", digest))
        return 200, Headers(fields), data


class ByHost:
    """A transport that leads each host to its own fake."""

    def __init__(self, hosts: dict[str, FakeUpstream]) -> None:
        self._hosts = hosts

    async def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        dial: Dial,
        body: bytes = b"",
        interim: Interim | None = None,
    ) -> Exchange:
        host = url.split("://", 1)[1].partition("/")[0]
        return await self._hosts[host].send(method, url, headers, dial, body)

    async def close(self) -> None:
        pass


class World:
    """One registry with two upstreams: `docker.io` (bare names) and `up.test` (private or not).

    With `sibling`, another node of the site is asked first by digest.
    """

    def __init__(
        self,
        *,
        private: bool = False,
        sibling: bool = False,
        misses: MissRules | None = None,
        users: Users | None = None,
        access_rules: Sequence[Rule] = (),
        **rules: object,
    ) -> None:
        self.clock = ManualClock()
        self.events = Events(self.clock.now)
        self.metrics = Registry()
        self.failures = ValidationFailures(self.metrics)
        self.nursery = Nursery(on_crash=self._crashed)
        self.crashes: list[BaseException] = []
        self.store = MemoryStore(self.clock)
        self.catalog = SqliteCatalog.open(None)
        self.hub = FakeUpstream()
        self.up = FakeUpstream()
        self.sibling = FakeUpstream()
        self.forgotten = 0
        self.steward = FrugalSteward()
        self.book = SqliteVerdicts(None)
        metrics = UpstreamMetrics(self.metrics, self.failures)
        self.remotes = {}
        hosts = {"docker.io": self.hub, "up.test": self.up, "beside.test": self.sibling}
        beside = (Source("beside", "https://beside.test", SourceKind.SIBLING),) if sibling else ()
        for name in ("docker.io", "up.test"):
            client = self._client(name, ByHost(hosts), metrics, beside)
            self.remotes[name] = Remote(name, client, private and name == "up.test")
        told = {"events": self.events, "metrics": self.metrics, "failures": self.failures}
        self.fills = Fills(self.store, self.nursery, clock=self.clock, **told)  # type: ignore[arg-type]
        self.identities: dict[str, str] = {}
        self.misses = Misses(
            {name: misses or MissRules() for name in self.remotes},
            clock=self.clock,
            events=self.events,
            meters=MissMeters(self.metrics),
        )
        names = NameTable(
            (UpstreamName("docker.io", bare_names=True), UpstreamName("up.test")), ("local/*",)
        )
        made: dict[str, object] = {
            "names": names,
            "windows": (TagWindow("*", WINDOW_SECONDS),),
            "local_enabled": True,
            "companions": False,
            "access": access_of(users, access_rules, self.clock, self.failures) if users else None,
        }
        self.rooms = assemble(self.parts(), Rules(**(made | rules)))  # type: ignore[arg-type]

    def parts(self) -> Parts:
        """What the registry stands on; made anew of the same twins."""
        return Parts(
            store=self.store,
            catalog=self.catalog,
            fills=self.fills,
            remotes=self.remotes,
            verdicts=self.book,
            clock=self.clock,
            events=self.events,
            metrics=self.metrics,
            failures=self.failures,
            nursery=self.nursery,
            node_id="rock",
            chance=Random(7),
            changed=self._changed,
            misses=self.misses,
            identify=self._identify,
            steward=self.steward,
        )

    def _identify(self, request: Request) -> str:
        return self.identities.get(request.headers.get("Authorization") or "", "")

    def _client(
        self,
        name: str,
        transport: ByHost,
        metrics: UpstreamMetrics,
        siblings: tuple[Source, ...],
    ) -> UpstreamClient:
        return UpstreamClient(
            Upstream(name, (Source("origin", f"https://{name}", SourceKind.ORIGIN),)),
            transport=transport,
            clock=self.clock,
            events=self.events,
            metrics=metrics,
            rng=Random(1),
            node_id="rock",
            siblings=siblings,
        )

    async def get(
        self,
        path: str,
        *,
        method: str = "GET",
        query: str = "",
        client: str = "",
        port: int = 0,
        **fields: str,
    ) -> Answer:
        """One request to the registry's door; `Range="..."` adds a field."""
        headers = Headers((name.replace("_", "-"), value) for name, value in fields.items())
        return await self.rooms.front(
            Request(
                method,
                path,
                headers,
                query=query,
                raw_path=path,
                client=client,
                client_port=port,
            )
        )

    async def pull(self, name: str, image: Image, reference: str = "") -> list[int]:
        """Pulls as a client does; the statuses of all its requests."""
        path = f"/v2/{name}/manifests/{reference or image.digest}"
        answer = await self.get(path)
        statuses = [answer.status]
        for child in image.children:
            statuses += await self.pull(name, child)
        for blob in image.blobs:
            answer = await self.get(f"/v2/{name}/blobs/{blob.digest}")
            statuses.append(answer.status)
            if answer.status == 200:
                assert await body_of(answer) == blob.data
        return statuses

    async def settle(self) -> None:
        """Lets what runs behind the answers come to its end, hashing threads included."""
        async with asyncio.timeout(10):
            while len(self.nursery):
                await self.nursery.idle()

    async def close(self) -> None:
        await self.nursery.close()
        for remote in self.remotes.values():
            await remote.client.close()
        await self.catalog.close()
        assert not self.crashes

    def _crashed(self, name: str, error: BaseException) -> None:
        self.crashes.append(error)

    def _changed(self) -> None:
        self.forgotten += 1


async def body_of(answer: Answer) -> bytes:
    """The whole body, whatever kind it is. Raises BodyAborted."""
    body = answer.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, AsyncIterator):
        return b"".join([chunk async for chunk in body])
    return await read_segment(body)
