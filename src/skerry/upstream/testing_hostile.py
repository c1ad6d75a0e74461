"""A registry that means harm: every attack by name, and what must come of it.

Promise: outside of the one request that an attack poisons, the registry is honest: it wants a token
of its own token service for everything, and gives the wares it was handed under their right names.
An attack does what its name says and nothing else, so that one guard alone can stop it. It opens no
socket: what it says is a value, and a rig puts it on the wire to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from skerry.telemetry.validation import Cause

TAG = "1"
TOKEN = "token-of-the-hostile-registry"
_JSON = (("Content-Type", "application/json"),)


class Step(StrEnum):
    """Which answer an attack poisons."""

    CHALLENGE = "challenge"
    TOKEN = "token"
    MANIFEST_BY_TAG = "manifest by tag"
    MANIFEST_BY_DIGEST = "manifest by digest"
    BLOB = "blob"
    TAGS = "tags"
    REFERRERS = "referrers"


class Framing(StrEnum):
    """How the end of a body is told (RFC 9112 section 6)."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as it came in. `host` is without its port."""

    method: str
    host: str
    path: str
    query: str = ""
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, to be written as it is.

    Attributes:
        announced_bytes: a Content-Length that need not be true; None for the true one.
        cut_at_bytes: the connection ends after so much of the body.
    """

    status: int = 200
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    framing: Framing = Framing.LENGTH
    announced_bytes: int | None = None
    cut_at_bytes: int | None = None

    def with_field(self, name: str, value: str) -> Said:
        """This field said, whatever was said of it before."""
        kept = tuple(pair for pair in self.fields if pair[0].lower() != name.lower())
        return replace(self, fields=(*kept, (name, value)))


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the registry stands.

    Attributes:
        host, port: its own, by https.
        trap_port: of something on this very machine that nobody from outside may reach.
        listed: a host that the settings let redirects lead to.
    """

    host: str
    port: int
    trap_port: int
    listed: str = ""

    def fill(self, text: str) -> str:
        """A text with the names of this stage in it."""
        return text.format(host=self.host, port=self.port, trap=self.trap_port, listed=self.listed)


Turn = Callable[[Ask, Said, Stage], Said]
"""The poisoned answer, made of the request, the honest answer and the stage."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Attributes:
        name: with dashes, fit to be a label of a host name.
        failure: the known failure it repeats, `T1` to `T44`.
        cause: what is counted for it, once; None for what is only bounded.
        served: the client gets what it asked for all the same.
    """

    name: str
    failure: str
    step: Step
    turn: Turn = field(repr=False)
    cause: Cause | None
    served: bool = False


@dataclass(frozen=True, slots=True)
class Wares:
    """What the registry honestly has, all in one repository.

    Attributes:
        manifest, media_type, digest: what `TAG` means.
        blobs: by digest.
    """

    manifest: bytes
    media_type: str
    digest: str
    blobs: Mapping[str, bytes]


@dataclass
class Hostile:
    """One registry with one attack; `asked` is every request, in order.

    Attributes:
        armed: while False it is honest throughout.
        named: makes the digest of a manifest, so that a poisoned one comes under its right name.
    """

    attack: Attack
    wares: Wares
    stage: Stage
    named: Callable[[bytes], str]
    repository: str = "team/app"
    armed: bool = True
    asked: list[Ask] = field(default_factory=list)

    def answer(self, ask: Ask) -> Said:
        """What it says."""
        self.asked.append(ask)
        step, honest = self._honest(ask)
        if not self.armed or step is not self.attack.step:
            return honest
        return self.attack.turn(ask, honest, self.stage)

    def poisoned(self) -> tuple[bytes, str]:
        """The manifest that the tag means while it is armed, and its true digest."""
        if self.attack.step is not Step.MANIFEST_BY_TAG:
            return self.wares.manifest, self.wares.digest
        said = self.attack.turn(Ask("GET", self.stage.host, ""), self._manifest(), self.stage)
        return said.body, self.named(said.body)

    def _honest(self, ask: Ask) -> tuple[Step | None, Said]:
        if ask.host != self.stage.host:
            return None, self._elsewhere(ask)
        if ask.path == "/token":
            answer = json.dumps({"token": TOKEN, "expires_in": 300}).encode()
            return Step.TOKEN, Said(200, _JSON, answer)
        if ask.authorization != f"Bearer {TOKEN}":
            realm = self.stage.fill("https://{host}:{port}/token")
            challenge = f'Bearer realm="{realm}",service="{self.stage.host}"'
            refused = Said(401, (*_JSON, ("WWW-Authenticate", challenge)), b'{"errors":[]}')
            return Step.CHALLENGE, refused
        return self._had(ask.path.removeprefix(f"/v2/{self.repository}"))

    def _had(self, path: str) -> tuple[Step | None, Said]:
        body, digest = self.poisoned() if self.armed else (self.wares.manifest, self.wares.digest)
        if path == f"/manifests/{TAG}":
            return Step.MANIFEST_BY_TAG, self._manifest()
        if path == f"/manifests/{digest}":
            return Step.MANIFEST_BY_DIGEST, replace(
                self._manifest().with_field("Docker-Content-Digest", digest), body=body
            )
        blob = self.wares.blobs.get(path.removeprefix("/blobs/"))
        if blob is not None:
            octets = (("Content-Type", "application/octet-stream"),)
            return Step.BLOB, Said(200, octets, blob)
        if path == "/tags/list":
            listed = json.dumps({"name": self.repository, "tags": [TAG]}).encode()
            return Step.TAGS, Said(200, _JSON, listed)
        if path.startswith("/referrers/"):
            nothing = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
            return Step.REFERRERS, Said(200, _JSON, nothing)
        return None, Said(404, _JSON, b'{"errors":[]}')

    def _manifest(self) -> Said:
        fields = (
            ("Content-Type", self.wares.media_type),
            ("Docker-Content-Digest", self.wares.digest),
        )
        return Said(200, fields, self.wares.manifest)

    def _elsewhere(self, ask: Ask) -> Said:
        """A host beside the registry: gives blobs to anybody without a credential, and asks for one
        of ours for all else."""
        blob = self.wares.blobs.get(ask.path.rpartition("/")[2])
        if blob is not None and not ask.authorization:
            return Said(200, (), blob)
        realm = self.stage.fill("https://{host}:{port}/token")
        challenge = ("WWW-Authenticate", f'Bearer realm="{realm}",service="elsewhere"')
        return Said(401, (*_JSON, challenge), b"{}")


def answered(**changes: object) -> Turn:
    """The honest answer with these attributes changed."""
    return lambda ask, honest, stage: replace(honest, **changes)  # type: ignore[arg-type]


def with_field(name: str, value: str) -> Turn:
    """The honest answer with one field of its own, its text filled in by the stage."""
    return lambda ask, honest, stage: honest.with_field(name, stage.fill(value))


def instead(status: int, body: bytes = b"{}", *fields: tuple[str, str]) -> Turn:
    """Something else altogether."""
    return lambda ask, honest, stage: Said(status, fields or _JSON, body)
