"""A hub of models under test: what `huggingface_hub` asks of one, over two shelves.

Owns the imitation: the API's listing, small files in place, large ones by a redirect to another
server with a signature in its query, as the real one does it. Promises: it may be told to want a
token, and remembers every request that both servers got.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from tests.rig.http import Asked, Reply
from tests.rig.processes import Rig
from tests.rig.shelf import Content, Plain, Shelf, shelf

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL_BYTES_MAX = 100_000
SIGNATURE = "X-Amz-Signature=0f0f0f0f&response-content-disposition=inline"


@dataclass
class Hub:
    """One repository at one commit.

    Attributes:
        token: what it wants as a bearer token, "" for a public repository.
    """

    repository: str
    files: dict[str, Content] = field(default_factory=dict)
    token: str = ""
    front: Shelf = field(init=False)
    storage: Shelf = field(init=False)

    def put(self, name: str, content: Content | bytes) -> Content:
        """A file; over 100 kB it lies on the other server."""
        made = Plain(content) if isinstance(content, bytes) else content
        self.files[name] = made
        if made.size_bytes > SMALL_BYTES_MAX:
            far = (("Cache-Control", "public, max-age=604800, immutable"),)
            thing = self.storage.put(f"/lfs/{name}", made, *far)
            thing.tag = f'"{_sha256(made)}"'
        else:
            thing = self.front.put(f"/{self.repository}/resolve/{COMMIT}/{name}", made, *_said())
            self.front.things[f"/{self.repository}/resolve/main/{name}"] = thing
        return made

    def kill(self, rig: Rig) -> None:
        """Both servers are gone."""
        rig.run(self.front.server.close())
        rig.run(self.storage.server.close())

    async def answer(self, asked: Asked) -> Reply | None:
        """The hub's own server."""
        if self.token and asked.value("Authorization") != f"Bearer {self.token}":
            return Reply(401, (("X-Error-Code", "GatedRepo"), ("Cache-Control", "no-store")), b"{}")
        api = f"/api/models/{self.repository}"
        if asked.path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            return _json({"_id": "1", "id": self.repository, "modelId": self.repository,
                          "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0,
                          "siblings": [{"rfilename": name} for name in self.files]})  # fmt: skip
        if asked.path.startswith(f"{api}/tree/"):
            return _json([self._entry(name) for name in self.files])
        name = asked.path.rpartition("/")[2]
        content = self.files.get(name)
        if "/resolve/" in asked.path and content and content.size_bytes > SMALL_BYTES_MAX:
            return Reply(302, (*_said(), ("Location", f"{self.storage.url}/lfs/{name}?{SIGNATURE}"),
                               ("X-Linked-Size", str(content.size_bytes)),
                               ("X-Linked-Etag", f'"{_sha256(content)}"')))  # fmt: skip
        return None

    def _entry(self, name: str) -> dict[str, object]:
        content = self.files[name]
        entry: dict[str, object] = {"type": "file", "path": name, "size": content.size_bytes,
                                    "oid": _sha256(content)[:40]}  # fmt: skip
        if content.size_bytes > SMALL_BYTES_MAX:
            entry["lfs"] = {"oid": _sha256(content), "size": content.size_bytes, "pointerSize": 134}
        return entry


def hub(rig: Rig, repository: str = "team/model") -> Hub:
    """A hub that listens until the rig ends."""
    made = Hub(repository)
    made.front = shelf(rig, made.answer)
    made.storage = shelf(rig)
    return made


def _said() -> tuple[tuple[str, str], ...]:
    return (("X-Repo-Commit", COMMIT), ("Vary", "Origin, Accept"))


def _json(value: object) -> Reply:
    body = json.dumps(value).encode()
    tag = hashlib.sha256(body).hexdigest()[:16]
    return Reply(200, (("Content-Type", "application/json"), ("ETag", f'W/"{tag}"')), body)


def _sha256(content: Content) -> str:
    return hashlib.sha256(content.read(0, content.size_bytes)).hexdigest()
