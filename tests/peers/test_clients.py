"""Each client reads, with everything upstream gone, what another one warmed (T34)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from skerry.app.drill import wan as link
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import index, push
from skerry.app.drill.processes import SKERRY, NodeProcess
from skerry.app.drill.wan import Wan
from tests.rig import images, nodes
from tests.rig.nodes import HOST
from tests.rig.processes import Rig, Service

REPOSITORY = "team/tide"


@dataclass
class Scene:
    """A node, its link to the upstream, and the clients' view of it."""

    rig: Rig
    upstream: Service
    wan: Wan
    node: NodeProcess

    def cut(self) -> None:
        self.rig.run(self.wan.switch(link.REFUSE))

    def client(self) -> RegistryClient:
        return RegistryClient(self.node.registry)

    def skopeo_pulls(self, name: str) -> str:
        place = self.rig.place("skopeo")
        source = f"docker://{self.node.registry}/{HOST}/{name}"
        copied = self.rig.skopeo(
            "copy", "-q", "--src-tls-verify=false", "--override-arch=amd64", source, f"dir:{place}"
        )
        assert copied.returncode == 0, copied.stderr
        layers = json.loads((place / "manifest.json").read_bytes())["layers"]
        return "whole" if all((place / _hex(layer)).exists() for layer in layers) else "broken"

    def podman_pulls(self, name: str) -> str:
        podman = self.rig.podman({HOST: f"{self.node.registry}/{HOST}"})
        podman.pull(f"{HOST}/{name}")
        said = podman.start(f"{HOST}/{name}")
        podman.forget()
        return "whole" if said == "tide\n" else said

    def ctr_pulls(self, name: str) -> str:
        ctr = self.rig.containerd()
        ctr.mirror(HOST, self.node.registry)
        ctr.pull(f"{HOST}/{name}", "--platform", "linux/amd64")
        listed = ctr.run("image", "check", f"name=={HOST}/{name}").stdout
        return "whole" if "complete" in listed else listed


def _hex(descriptor: dict[str, str]) -> str:
    return descriptor["digest"].partition(":")[2]


@pytest.fixture(scope="module")
def upstream(shared: Rig) -> Service:
    """A registry with `team/tide:1`, for two platforms."""
    service = shared.registry()
    both = index([images.runnable(), images.small(3, architecture="arm64")])
    push(service.client(), REPOSITORY, both, "1")
    return service


@pytest.fixture
def scene(rig: Rig, upstream: Service) -> Scene:
    wan = rig.wan(upstream.authority)
    node = rig.node(nodes.settings(f"http://127.0.0.1:{wan.port}", window="1ms"))
    return Scene(rig, upstream, wan, node)


PULLS: dict[str, Callable[[Scene, str], str]] = {
    "skopeo": Scene.skopeo_pulls,
    "podman": Scene.podman_pulls,
    "ctr": Scene.ctr_pulls,
}


@pytest.mark.parametrize("warmer", PULLS)
def test_t34_what_one_client_warmed_every_client_pulls_with_the_upstream_gone(
    scene: Scene, warmer: str
) -> None:
    name = f"{REPOSITORY}:1"
    assert PULLS[warmer](scene, name) == "whole"
    scene.cut()
    for reader, pull in PULLS.items():
        assert pull(scene, name) == "whole", f"{reader} after {warmer}"


def test_every_client_still_pulls_after_a_crash_and_a_cold_start_while_cut_off(
    scene: Scene,
) -> None:
    name = f"{REPOSITORY}:1"
    assert scene.skopeo_pulls(name) == "whole"
    scene.node.wait_until_stored()
    scene.cut()
    scene.node.restart()
    for reader, pull in PULLS.items():
        assert pull(scene, name) == "whole", reader


def test_a_second_platform_is_a_clear_miss_and_the_first_stays_whole(scene: Scene) -> None:
    """T33: warmed on amd64, cut, asked for arm64."""
    assert scene.ctr_pulls(f"{REPOSITORY}:1") == "whole"
    scene.cut()
    index = json.loads(scene.client().manifest(f"{HOST}/{REPOSITORY}", "1").body)
    for entry in index["manifests"]:
        got = scene.client().manifest(f"{HOST}/{REPOSITORY}", entry["digest"])
        expected = 200 if entry["platform"]["architecture"] == "amd64" else 503
        assert got.status == expected, got.text()
    assert scene.skopeo_pulls(f"{REPOSITORY}:1") == "whole"


def test_podman_falls_back_at_once_when_the_node_cannot_have_an_image(scene: Scene) -> None:
    """A 503 makes podman turn to the primary; a 429 would hold it for minutes."""
    scene.cut()
    podman = scene.rig.podman({HOST: f"{scene.node.registry}/{HOST}"})
    reference = f"{HOST}/{REPOSITORY}:never"
    pulled = podman.run("pull", "-q", reference, check=False, seconds_max=20)
    assert pulled.returncode != 0


def test_written_client_configuration_works_with_the_real_programs(
    scene: Scene, tmp_path: Path
) -> None:
    """`skerry clients ... --write --root` is what podman and containerd then read."""
    for client in ("podman", "containerd"):
        argv = [*SKERRY, "clients", client]
        argv += ["--config", str(scene.node.config), "--write", "--root", str(tmp_path)]
        for _ in range(2):  # the second time changes nothing
            ran = subprocess.run(argv, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stdout + ran.stderr
    name = f"{HOST}/{REPOSITORY}:1"
    ctr = scene.rig.containerd(tmp_path / "etc/containerd/certs.d")
    ctr.pull(name, "--platform", "linux/amd64")
    scene.cut()
    podman = scene.rig.podman({})
    (written,) = (tmp_path / "etc/containers/registries.conf.d").glob("*.conf")
    podman.registries.write_text(written.read_text())
    podman.pull(name)
    assert podman.start(name) == "tide\n"
