"""The ways an upstream goes away, and what may be heard of it meanwhile.

Owns the list of faults and the road they happen on:

    node -> name server (up.test) -> link -> liar (with TLS or a token service) -> real registry

The real SYN black hole needs namespaces and is in `tests.rig.netns`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from skerry.app.drill import wan as link
from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import Image, index, push
from skerry.app.drill.names import NameFault
from skerry.app.drill.processes import NodeProcess, Setting, comes_true, wait_until_still
from tests.rig import faulty, images, nodes
from tests.rig.faulty import Rule
from tests.rig.http import Reply
from tests.rig.nodes import HOST
from tests.rig.processes import Rig, Service, certificate

WHOLE, HALF, UNSEEN = "team/whole", "team/half", "team/unseen"
FRESH, STALE = "fresh", "stale"
UNAVAILABLE = frozenset({503})
REFUSED = frozenset({403, 503})
"""An upstream that says 401 or 403 may be quoted: somebody has to act on it."""
NOT_FOUND = frozenset({404})
WARM_SECONDS_MAX = 15.0
"""For so long a road with nothing broken may fail on a busy machine: a breaker opens and tries."""
OTHER_DIGEST = "sha256:" + "ab" * 32


class NotWarm(AssertionError):
    """A mirror did not give what the upstream has, with nothing broken."""


class Listening(Protocol):
    """A server somewhere on loopback."""

    @property
    def authority(self) -> str: ...


class Road:
    """From the node to a real server, breakable at every step."""

    def __init__(
        self, rig: Rig, registry: Listening, *, tls: bool = False, tokens: bool = False
    ) -> None:
        self.rig = rig
        self.tls = tls
        self.tokens = rig.tokens() if tokens else None
        self.liar = rig.faulty(registry.authority, tokens=self.tokens, tls=tls)
        self.wan = rig.wan(self.liar.server.authority)
        self.names = rig.names()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.wan.port}"

    def connections(self) -> int:
        """How often anybody tried to get out: connections that came, and names asked for."""
        return self.wan.statistics().connections + self.names.statistics().queries

    def settle(self) -> None:
        """Until what a warming left to do behind its answers is done."""
        wait_until_still(self.connections)

    def link(self, mode: link.Mode) -> None:
        self.rig.run(self.wan.switch(mode))

    def lose_name(self, how: NameFault) -> None:
        # A resolver may remember the address for a moment: it leads nowhere.
        self.names.fault = how
        self.link(link.RESET)

    def lie(self, *rules: Rule) -> None:
        self.liar.use(*rules)

    def lose_tokens(self, reply: Reply) -> None:
        assert self.tokens is not None
        self.tokens.fault = reply
        self.tokens.revoke_all()

    def stall_tls(self) -> None:
        self.link(link.RESET)
        self.link(link.SILENCE)

    def heal(self) -> None:
        self.names.fault = NameFault.ANSWER
        self.lie()
        self.link(link.PASS)
        if self.tokens is not None:
            self.tokens.fault = None

    def node(self, **waits: str) -> NodeProcess:
        """A node on this road: the tag `stale` is due at once, `fresh` is not for an hour."""
        more: dict[str, Setting] = dict(waits)
        if self.tls:
            more["ca_file"] = str(certificate(self.rig.folder)[0])
        if self.tokens:
            # A realm over plain http is trusted only at the source's own host.
            self.liar.realm = f"http://{HOST}:{self.tokens.server.port}/token"
            more["realms"] = [self.liar.realm]
        windows = {FRESH: "1h"}
        port = self.names.port
        settings = nodes.settings(self.url, window="1ms", windows=windows, dns_port=port, **more)
        return self.rig.node(settings)


@dataclass(frozen=True)
class Fault:
    """One way to be cut off.

    Attributes:
        never: statuses that may answer a name nobody has pulled, or a blob that is not here.
        lies: the upstream gives wrong bytes, so a body may also be aborted.
    """

    name: str
    cut: Callable[[Road], None]
    never: frozenset[int] = UNAVAILABLE
    tls: bool = False
    tokens: bool = False
    lies: bool = False

    def __str__(self) -> str:
        return self.name


def _says(code: int, never: frozenset[int] = UNAVAILABLE, retry_after: int | None = None) -> Fault:
    rule = faulty.status(code, retry_after=retry_after)
    return Fault(f"status-{code}", lambda road: road.lie(rule), never)


def _lie(name: str, *rules: Rule) -> Fault:
    return Fault(name, lambda road: road.lie(*rules), lies=True)


FAULTS = (
    Fault("dns-nxdomain", lambda road: road.lose_name(NameFault.NXDOMAIN)),
    Fault("dns-servfail", lambda road: road.lose_name(NameFault.SERVFAIL)),
    Fault("dns-hang", lambda road: road.lose_name(NameFault.HANG)),
    Fault("refused", lambda road: road.link(link.REFUSE)),
    Fault("reset", lambda road: road.link(link.RESET)),
    Fault("tls-stall", Road.stall_tls, tls=True),
    Fault("silence", lambda road: road.link(link.HANG)),
    Fault("drip", lambda road: road.link(link.DRIP)),
    _says(400),
    _says(401, REFUSED),
    _says(403, REFUSED),
    _says(404, NOT_FOUND),
    _says(408),
    _says(429, retry_after=30),
    *(_says(code) for code in (500, 502, 503, 504)),
    Fault("token-503", lambda road: road.lose_tokens(Reply(503)), tokens=True),
    Fault("token-hang", lambda road: road.lose_tokens(Reply(silent=True)), tokens=True),
    Fault("token-alone-up", lambda road: road.link(link.REFUSE), tokens=True),
    _lie("html", faulty.html()),
    _lie("other-bytes", faulty.other_bytes(b'{"schemaVersion": 2}', path=faulty.ANY)),
    _lie("flipped-bit", faulty.flip_bit(path=faulty.ANY, at_bytes=-2)),
    _lie("lying-header", faulty.lying_digest_header(OTHER_DIGEST, path=faulty.ANY)),
)


def cargo() -> Image:
    """The image of every cell: two platforms, of which amd64 is warmed."""
    return index([images.small(1), images.small(2, architecture="arm64")])


def half() -> Image:
    """The image whose layers are not here."""
    return images.small(7)


def unseen() -> Image:
    """An image that is there upstream and was never asked for."""
    return images.small(9)


def load(registry: Service) -> None:
    """Puts both images into the real registry."""
    client = registry.client()
    for tag in (FRESH, STALE):
        push(client, WHOLE, cargo(), tag)
    push(client, HALF, half(), FRESH)
    push(client, UNSEEN, unseen(), FRESH)


def warm(
    client: RegistryClient, prefix: str = f"{HOST}/", *, seconds_max: float = WARM_SECONDS_MAX
) -> None:
    """Pulls one platform of the whole image, and the manifest and config of the half one.

    What does not come is asked for again, for so long in all: the waits of a node under test are
    so short that a busy machine is taken for a broken road. Raises NotWarm.
    """
    whole, part = cargo(), half()
    child, deadline = whole.children[0], time.monotonic() + seconds_max
    for name, piece, tag in (
        (WHOLE, whole.manifest, FRESH),
        (WHOLE, whole.manifest, STALE),
        (WHOLE, child.manifest, child.digest),
        (HALF, part.manifest, FRESH),
    ):
        pull = partial(client.manifest, f"{prefix}{name}", tag)
        given(pull, piece.data, seconds_max=deadline - time.monotonic())
    for name, blobs in ((WHOLE, child.blobs), (HALF, part.blobs[:1])):
        for blob in blobs:
            pull = partial(client.blob, f"{prefix}{name}", blob.digest)
            given(pull, blob.data, seconds_max=deadline - time.monotonic())


def given(pull: Callable[[], Got], data: bytes, *, seconds_max: float = WARM_SECONDS_MAX) -> None:
    """Asks until these bytes come, or others, which no patience mends. Raises NotWarm."""
    last: list[Got] = []

    def came() -> bool:
        last[:] = [pull()]
        return last[0].status == 200 and last[0].whole

    # No more often: a node holds back whoever asks too much for what it does not have.
    came_in_time = comes_true(came, seconds_max=seconds_max, every_seconds=0.1)
    [got] = last
    if not came_in_time:
        raise NotWarm(f"{got.status} {got.text()} {got.trouble}")
    if got.body != data:
        raise NotWarm(f"other bytes: {got.text()}")
