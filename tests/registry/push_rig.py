"""The write side of local repositories over memory twins, and what is sent to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from random import Random

import pytest

from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.base.clock import ManualClock
from skerry.base.digest import Digest, digest_of
from skerry.registry.core.errors import RegistryError
from skerry.registry.core.manifests import OCI_MANIFEST
from skerry.registry.core.names import parse_target
from skerry.registry.ports import LOCAL, Repository
from skerry.registry.push import Pushes
from skerry.registry.refusals import Refusals
from skerry.registry.uploads import UploadLimits, Uploads
from skerry.store.testing import MemoryStore
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.wire.message import Answer, Headers, Request

APP, LIB = Repository(LOCAL, "local/app"), Repository(LOCAL, "local/lib")
HUB = Repository("docker.io", "library/nginx")
DATA = b"a layer" * 100
DIGEST = digest_of(DATA)


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class Node:
    """The write side over memory twins; `changes` counts what empties ready answers."""

    def __init__(
        self, *, deletion: bool = True, overwriting: bool = True, limits: UploadLimits | None = None
    ) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.catalog = SqliteCatalog.open(None)
        self.changes = 0
        self.failures = ValidationFailures(Registry())
        self.uploads = Uploads(
            store=self.store,
            catalog=self.catalog,
            clock=self.clock,
            chance=Random(1),
            limits=limits,
        )
        self.pushes = Pushes(
            store=self.store,
            catalog=self.catalog,
            clock=self.clock,
            uploads=self.uploads,
            changed=self._changed,
            refusals=Refusals(self.failures, Events(self.clock.now)),
            deletion=deletion,
            overwriting=overwriting,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def send(
        self,
        method: str,
        target: str,
        *pieces: bytes,
        where: Repository = APP,
        **headers: str,
    ) -> Answer:
        path, _, query = target.partition("?")
        if not path.startswith("/v2/"):
            path = f"/v2/{where.name}/{path}"
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        request = Request(method, path, Headers(fields), query, path, chunks(*pieces))
        found = parse_target(method, path, path, query)
        return await self.pushes.answer(request, where, found)  # type: ignore[arg-type]

    async def refused(self, *args: str | bytes, **kwargs: str | Repository) -> RegistryError:
        with pytest.raises(RegistryError) as caught:
            await self.send(*args, **kwargs)  # type: ignore[arg-type]
        return caught.value

    async def blob(self, data: bytes, where: Repository = APP) -> Digest:
        answer = await self.send(
            "POST", f"blobs/uploads/?digest={digest_of(data)}", data, where=where
        )
        assert answer.status == 201
        return digest_of(data)

    async def image(self, tag: str, *, where: Repository = APP) -> Digest:
        await self.blob(b"config", where)
        await self.blob(DATA, where)
        data = image_of(DATA)
        answer = await self.send(
            "PUT", f"manifests/{tag}", data, where=where, Content_Type=OCI_MANIFEST
        )
        assert answer.status == 201
        return digest_of(data)

    async def session(self) -> str:
        answer = await self.send("POST", "blobs/uploads/")
        assert answer.status == 202
        return answer.headers.get("Location") or ""


def descriptor(data: bytes, media_type: str = "application/x") -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data)}


def image_of(*layers: bytes, **more: object) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(b"config"),
        "layers": [descriptor(layer) for layer in layers],
        **more,
    }
    return json.dumps(document).encode()
