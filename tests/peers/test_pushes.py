"""Real clients push to the node's own repositories, with a password, and nobody needs upstream."""

from __future__ import annotations

import json

import pytest

from skerry.app.drill import wan as link
from skerry.app.drill.client import PushFailed, RegistryClient
from skerry.app.drill.images import push
from skerry.app.drill.processes import NodeProcess
from skerry.app.drill.wan import Wan
from tests.rig import images, nodes
from tests.rig.nodes import HOST, PASSWORD, USER
from tests.rig.processes import Rig

CREDENTIALS = f"{USER}:{PASSWORD}"


@pytest.fixture
def wan(rig: Rig) -> Wan:
    """A link to a registry with `team/app:1`."""
    upstream = rig.registry()
    push(upstream.client(), "team/app", images.runnable(), "1")
    return rig.wan(upstream.authority)


@pytest.fixture
def node(rig: Rig, wan: Wan) -> NodeProcess:
    """A node that takes pushes to `local/*`."""
    base = nodes.settings(f"http://127.0.0.1:{wan.port}")
    return rig.node(nodes.with_local(base, rig.place("users")))


def test_skopeo_and_podman_push_while_cut_off_and_every_client_pulls_it_after_a_crash(
    rig: Rig, wan: Wan, node: NodeProcess
) -> None:
    mirrored = f"docker://{node.registry}/{HOST}/team/app:1"
    layout = f"oci:{rig.place('layout')}:1"
    copied = rig.skopeo("copy", "-q", "--src-tls-verify=false", mirrored, layout)
    assert copied.returncode == 0, copied.stderr
    rig.run(wan.switch(link.REFUSE))

    by_skopeo = f"docker://{node.registry}/local/by-skopeo:1"
    arguments = ("copy", "-q", "--dest-tls-verify=false", layout, by_skopeo)
    assert rig.skopeo(*arguments).returncode != 0  # no password
    assert rig.skopeo(*arguments, f"--dest-creds={USER}:wrong").returncode != 0
    pushed = rig.skopeo(*arguments, f"--dest-creds={CREDENTIALS}")
    assert pushed.returncode == 0, pushed.stderr

    podman = rig.podman({})
    plain = "--tls-verify=false"
    podman.pull(f"{node.registry}/local/by-skopeo:1", plain)
    target = f"{node.registry}/local/by-podman:1"
    podman.run("tag", f"{node.registry}/local/by-skopeo:1", target)
    podman.run("push", "-q", plain, f"--creds={CREDENTIALS}", target)
    podman.forget()

    node.restart()
    podman.pull(target, plain)
    assert podman.start(target) == "tide\n"
    ctr = rig.containerd()
    ctr.run("image", "pull", "--plain-http", f"{node.registry}/local/by-skopeo:1")
    listed = json.loads(RegistryClient(node.registry).get("/v2/local/by-podman/tags/list").body)
    assert listed["tags"] == ["1"]


def test_nothing_can_be_pushed_over_a_mirrored_name_or_outside_the_namespaces(
    rig: Rig, node: NodeProcess
) -> None:
    client = RegistryClient(node.registry, user=USER, password=PASSWORD)
    image = images.small()
    for repository in (f"{HOST}/team/app", "elsewhere/app"):
        with pytest.raises(PushFailed, match=r": 40[345] "):
            push(client, repository, image, "1")
    push(client, "local/app", image, "1")
    assert client.manifest("local/app", "1").body == image.manifest.data
