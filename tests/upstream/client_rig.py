"""One upstream client over the memory transport and a clock moved by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from skerry.base.clock import ManualClock
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.client import UpstreamClient
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.ports import Fetch, Place, Reply
from skerry.upstream.sources import Source, SourceKind, Upstream
from skerry.upstream.testing_transport import MemoryTransport

HUB = "https://registry.example"
AUTH = "https://auth.example/token"
MIRROR = "https://mirror.example"
NEIGHBOUR = "http://10.0.0.7:5000"
SECRET = "correct-horse-battery"

ORIGIN = Source("origin", HUB, username="robot", password=SECRET, realms=(AUTH,))
ANONYMOUS = Source("origin", HUB, realms=(AUTH,))
REGION = Source("region", MIRROR, SourceKind.REGION)
SIBLING = Source("neighbour", NEIGHBOUR, SourceKind.SIBLING)
FETCH = Fetch("GET", "/v2/a/manifests/1", scope="repository:a:pull")
URL = f"{HUB}/v2/a/manifests/1"
MIRROR_URL = f"{MIRROR}/v2/a/manifests/1"
NEIGHBOUR_URL = f"{NEIGHBOUR}/v2/a/manifests/1"


@dataclass
class Rig:
    """A client and all it stands on."""

    sources: tuple[Source, ...] = (ORIGIN,)
    siblings: tuple[Source, ...] = ()
    clock: ManualClock = field(default_factory=ManualClock)
    transport: MemoryTransport = field(default_factory=MemoryTransport)

    def __post_init__(self) -> None:
        self.events = Events(self.clock.now)
        self.registry = Registry()
        self.failures = ValidationFailures(self.registry)
        self.metrics = UpstreamMetrics(self.registry, self.failures)
        self.client = UpstreamClient(
            Upstream("hub", self.sources),
            transport=self.transport,
            clock=self.clock,
            events=self.events,
            metrics=self.metrics,
            rng=Random(1),
            node_id="rock-1",
            siblings=self.siblings,
        )

    async def ask(self, fetch: Fetch = FETCH) -> Reply:
        return await self.client.ask(fetch, body_bytes_max=1 << 20)

    def line(self, family: str, more: str = "") -> str:
        """A sample of the first source."""
        return f'{family}{{upstream="hub",source="{self.sources[0].name}"{more}}}'

    def place(self, number: int = 0, fetch: Fetch = FETCH) -> Place:
        return self.client.places(fetch)[number]

    def secrets_sent_to(self, host: str) -> list[str]:
        """Every credential field that went to a host."""
        names = ("authorization", "cookie", "proxy-authorization")
        return [
            value
            for seen in self.transport.sent_to(host)
            for name in names
            for value in seen.headers.all(name)
        ]

    async def read(self, number: int = 0, offset: int = 0) -> bytes:
        """A whole body of a place."""
        opened = await self.place(number).open(offset)
        return b"".join([chunk async for chunk in opened.exchange.chunks()])
