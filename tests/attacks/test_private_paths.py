"""T23 on a real node: what is private takes credentials on every path there is, cached or not."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.loop import LoopThread
from skerry.app.drill.processes import toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from tests.rig import images, nodes
from tests.rig.guarded import GuardedRegistry
from tests.rig.nodes import HOST, PASSWORD, USER

IMAGE = images.small(97)
NAME = "team/secret"
LAYER = IMAGE.blobs[-1]
WRONG = base64.b64encode(f"{USER}:guess".encode()).decode()
RIGHT = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
PATHS = (
    "manifests/1", f"manifests/{IMAGE.digest}", f"blobs/{LAYER.digest}",
    f"blobs/{IMAGE.blobs[0].digest}", "tags/list", f"referrers/{IMAGE.digest}",
)  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryClient]:
    """A node with the private image in its cache and its upstream gone."""
    folder: Path = tmp_path_factory.mktemp("private")
    with LoopThread() as loop:
        registry = GuardedRegistry()
        loop.run(registry.server.start())
        registry.push(NAME, IMAGE, "1")
        users = folder / "users"
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        users.write_text(f"{USER}:{hashed}\n")
        base = nodes.settings(registry.server.url, registry={"users_file": str(users)})
        [upstream] = base["upstream"]  # type: ignore[misc]
        upstream["private"] = True  # type: ignore[index,call-overload]
        base["doors"] = {"registry": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        base["node"] = {"name": "rock", "data_dir": str(folder / "data")}
        config = folder / "skerry.toml"
        config.write_text(toml_text(base))

        async def opened() -> Node:
            node = Node(load(config, {}, {}))
            await node.start()
            return node

        node = loop.run(opened())
        made = RegistryClient(f"127.0.0.1:{node.registry_port}")
        for path in ("manifests/1", *(f"blobs/{blob.digest}" for blob in IMAGE.blobs)):
            got = made.get(f"/v2/{HOST}/{NAME}/{path}", ("Authorization", f"Basic {RIGHT}"))
            assert (got.status, got.whole) == (200, True), got.text()
        yield made
        loop.run(node.stop())
        loop.run(registry.server.close())


@pytest.mark.parametrize("form", ["/v2/{host}/{name}/{path}", "/v2/{name}/{path}?ns={host}"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("given", ["", f"Basic {WRONG}", "Bearer x", "Basic !", "Basic Og=="])
def test_t23_t43_what_is_private_takes_credentials_on_every_path(
    client: RegistryClient, form: str, path: str, given: str
) -> None:
    target = form.format(host=HOST, name=NAME, path=path)
    fields = [("Authorization", given)] if given else []
    for method in ("GET", "HEAD"):
        for more in ([], [("Range", "bytes=0-9")], [("Cache-Control", "only-if-cached")],
                     [("If-None-Match", "*")]):  # fmt: skip
            got = client.get(target, *fields, *more, method=method)
            assert got.status == 401, f"{method} {target} {more}"
            assert LAYER.data[:9] not in got.body


def test_t23_the_same_paths_open_to_who_may(client: RegistryClient) -> None:
    for path in PATHS[:4]:
        got = client.get(f"/v2/{HOST}/{NAME}/{path}", ("Authorization", f"Basic {RIGHT}"))
        assert got.status == 200
