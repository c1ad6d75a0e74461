"""Real clients log in at the node, get tokens from it, pull and push, and nobody else is asked."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import bcrypt
import pytest

from skerry.app.drill import wan as link
from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.images import push
from skerry.app.drill.processes import NodeProcess, Setting
from skerry.app.drill.wan import Wan
from tests.rig import images, nodes
from tests.rig.nodes import HOST
from tests.rig.outage import given
from tests.rig.processes import Rig, need

PEOPLE = {"ann": "deep-water", "bob": "shallow-water"}
RULES = [
    {"repositories": ["local/a", "local/a/*"], "identities": ["ann"], "actions": ["pull", "push"]},
    {"repositories": ["local/b"], "identities": ["bob"], "actions": ["pull", "push", "delete"]},
    {"repositories": [f"{HOST}/team/secret"], "identities": ["ann"]},
]
PLAIN = "--tls-verify=false"


def settings_of(port: int, users: Path) -> dict[str, Setting]:
    lines = [
        f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
        for name, password in PEOPLE.items()
    ]
    users.write_text("".join(lines))
    base = nodes.settings(f"http://127.0.0.1:{port}")
    registry = base["registry"]
    assert isinstance(registry, Mapping)
    local = {"enabled": True, "namespaces": ["local/*"]}
    access: Setting = {"rule": RULES}
    return {
        **base,
        "registry": {**registry, "users_file": str(users), "local": local},
        "access": access,
    }


@pytest.fixture(scope="module")
def wan(shared: Rig) -> Wan:
    """A link to a registry with an image for all and one for ann."""
    upstream = shared.registry()
    push(upstream.client(), "team/app", images.runnable(), "1")
    push(upstream.client(), "team/secret", images.small(9), "1")
    return shared.wan(upstream.authority)


@pytest.fixture(scope="module")
def node(shared: Rig, wan: Wan) -> NodeProcess:
    made = shared.node(settings_of(wan.port, shared.place("users") / "users"))
    client = RegistryClient(made.registry, user="ann", password=PEOPLE["ann"])
    for name, image in (("team/app", images.runnable()), ("team/secret", images.small(9))):
        given(partial(client.manifest, f"{HOST}/{name}", "1"), image.manifest.data)
        for blob in image.blobs:
            given(partial(client.blob, f"{HOST}/{name}", blob.digest), blob.data)
    shared.run(wan.switch(link.REFUSE))  # all that follows is in an outage
    return made


def test_podman_logs_in_pulls_and_pushes_with_tokens_of_the_node(
    shared: Rig, node: NodeProcess
) -> None:
    podman = shared.podman({})
    auth = f"--authfile={shared.place('auth')}/auth.json"
    secret = f"{node.registry}/{HOST}/team/secret:1"
    assert podman.run("pull", "-q", PLAIN, auth, secret, check=False).returncode != 0
    wrong = ("login", PLAIN, auth, "-u", "ann", "-p", "wrong", node.registry)
    assert podman.run(*wrong, check=False).returncode != 0
    podman.run("login", PLAIN, auth, "-u", "ann", "-p", PEOPLE["ann"], node.registry)
    podman.pull(secret, PLAIN, auth)
    podman.pull(f"{node.registry}/{HOST}/team/app:1", PLAIN)  # nobody in particular
    target = f"{node.registry}/local/a/podman:1"
    podman.run("tag", f"{node.registry}/{HOST}/team/app:1", target)
    podman.run("push", "-q", PLAIN, auth, target)
    elsewhere = f"{node.registry}/local/b:1"
    podman.run("tag", target, elsewhere)
    assert podman.run("push", "-q", PLAIN, auth, elsewhere, check=False).returncode != 0
    podman.forget()
    podman.pull(target, PLAIN, auth)
    assert podman.start(target) == "tide\n"


def test_skopeo_logs_in_copies_and_deletes_with_tokens_of_the_node(
    shared: Rig, node: NodeProcess
) -> None:
    auth = f"--authfile={shared.place('auth')}/auth.json"
    login = ("login", PLAIN, auth, "-u", "bob", "-p", PEOPLE["bob"], node.registry)
    done = shared.skopeo(*login)
    assert done.returncode == 0, done.stderr
    layout = f"oci:{shared.place('layout')}:1"
    app = f"docker://{node.registry}/{HOST}/team/app:1"
    secret = f"docker://{node.registry}/{HOST}/team/secret:1"
    plain, to_plain = "--src-tls-verify=false", "--dest-tls-verify=false"
    done = shared.skopeo("copy", "-q", auth, plain, app, layout)
    assert done.returncode == 0, done.stderr
    assert shared.skopeo("copy", "-q", auth, plain, secret, layout).returncode != 0
    target = f"docker://{node.registry}/local/b:2"
    done = shared.skopeo("copy", "-q", auth, to_plain, layout, target)
    assert done.returncode == 0, done.stderr
    elsewhere = f"docker://{node.registry}/local/a:2"
    assert shared.skopeo("copy", "-q", auth, to_plain, layout, elsewhere).returncode != 0
    done = shared.skopeo("delete", auth, PLAIN, target)
    assert done.returncode == 0, done.stderr
    assert shared.skopeo("inspect", auth, PLAIN, target).returncode != 0


def test_containerd_pulls_with_a_user_directly_and_as_a_mirror(
    shared: Rig, node: NodeProcess
) -> None:
    ctr = shared.containerd()
    secret = f"{node.registry}/{HOST}/team/secret:1"
    plain = ("image", "pull", "--plain-http")
    assert ctr.run(*plain, secret, check=False).returncode != 0
    assert ctr.run(*plain, "--user", "bob:shallow-water", secret, check=False).returncode != 0
    ctr.run(*plain, "--user", "ann:deep-water", secret)
    ctr.run(*plain, f"{node.registry}/{HOST}/team/app:1")  # nobody in particular
    ctr.mirror(HOST, node.registry)
    ctr.run("image", "rm", secret)
    ctr.pull(f"{HOST}/team/secret:1", "--user", "ann:deep-water")
    assert ctr.digest_of(f"{HOST}/team/secret:1") == str(images.small(9).digest)


def test_the_docker_command_logs_in_and_asks_with_what_it_was_given(
    shared: Rig, node: NodeProcess
) -> None:
    program = need("docker")
    folder = shared.place("docker")

    def docker(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, "--config", str(folder), *arguments],
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "DOCKER_HOST": f"unix://{folder}/none.sock"},
        )

    login = ("login", "-u", "ann", "--password-stdin", node.registry)
    assert docker(*login, typed="wrong").returncode != 0
    done = docker(*login, typed=PEOPLE["ann"])
    assert done.returncode == 0, done.stderr
    kept = json.loads((folder / "config.json").read_text())["auths"][node.registry]
    assert kept.get("identitytoken"), "the password itself is kept"
    inspect = ("manifest", "inspect", "--insecure")
    for _ in range(2):  # the client keeps its token as it is: using it again is no replay
        done = docker(*inspect, f"{node.registry}/{HOST}/team/secret:1")
        assert done.returncode == 0, done.stderr
    assert docker(*inspect, f"{node.registry}/local/b:1").returncode != 0


def _token(node: NodeProcess, name: str, scope: str) -> Got:
    client = RegistryClient(node.registry, user=name, password=PEOPLE[name])
    return client.get(f"/auth/token?scope={scope}")


def test_a_node_killed_in_an_outage_believes_its_tokens_after_its_start(
    node: NodeProcess,
) -> None:
    got = _token(node, "ann", f"repository:{HOST}/team/secret:pull")
    bearer = ("Authorization", f"Bearer {json.loads(got.body)['token']}")
    path = f"/v2/{HOST}/team/secret/manifests/1"
    assert RegistryClient(node.registry).get(path, bearer).status == 200
    node.restart()
    assert RegistryClient(node.registry).get(path, bearer).status == 200
    assert RegistryClient(node.registry).get(path).status == 401
