"""A node in two processes as its operator and real clients meet it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import push
from skerry.app.drill.processes import SKERRY, NodeProcess
from skerry.cli.main import make_app
from tests.rig import images, nodes
from tests.rig.processes import Rig, need

REPOSITORY = "team/tide"
GUARD_SECONDS = 10.0


@pytest.fixture
def node(rig: Rig) -> NodeProcess:
    upstream = rig.registry()
    push(upstream.client(), REPOSITORY, images.small(1), "1")
    settings = nodes.settings(upstream.url)
    made = rig.node({**settings, "node": {"workers": 2}})
    until_both_serve(made)
    return made


def until_both_serve(node: NodeProcess) -> None:
    def both() -> bool:
        exposed = RegistryClient(node.admin).get("/metrics").body
        return b"\nskerry_workers 2\n" in exposed

    node.child.wait_until(both)


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def test_skopeo_pulls_whole_images_whichever_process_it_meets(node: NodeProcess, rig: Rig) -> None:
    image = images.small(1)
    source = f"docker://{node.registry}/{nodes.HOST}/{REPOSITORY}:1"
    for number in range(6):
        target = rig.place(f"copy{number}")
        argv = [need("skopeo"), "--insecure-policy", "copy", "-q", "--src-tls-verify=false"]
        subprocess.run([*argv, source, f"dir:{target}"], check=True, timeout=60)
        assert (target / "manifest.json").read_bytes() == image.manifest.data
        for blob in image.blobs:
            assert (target / blob.digest.hex).read_bytes() == blob.data


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "stop"])
def test_when_the_main_process_ends_no_worker_is_left(
    node: NodeProcess, how: signal.Signals
) -> None:
    (worker,) = children(node.child.pid)
    ends = os.pidfd_open(worker)
    try:
        os.kill(node.child.pid, how)
        readable, _, _ = select.select([ends], [], [], GUARD_SECONDS)
        assert readable, "the worker lives on"
    finally:
        os.close(ends)
    node.child.kill()


def test_a_signal_to_the_whole_group_drains_the_worker_too(node: NodeProcess) -> None:
    """As a terminal sends it, or a supervisor to a service's processes."""
    (worker,) = children(node.child.pid)
    os.killpg(node.child.pid, signal.SIGTERM)
    assert node.child.stop() == 0
    assert not Path(f"/proc/{worker}").exists()
    assert "worker.ended" not in node.log.read_text()


def test_a_node_that_was_killed_starts_again_on_the_same_doors(node: NodeProcess) -> None:
    for _ in range(3):
        node.restart()
        until_both_serve(node)
        assert len(children(node.child.pid)) == 1


def test_a_second_node_cannot_share_the_port_unseen(node: NodeProcess, tmp_path: Path) -> None:
    argv = [*SKERRY, "up", "--config", str(node.config), "--data-dir", str(tmp_path / "other")]
    argv += ["--admin", "127.0.0.1:0"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "taken by another program" in done.stderr


def test_the_operator_sees_how_many_processes_serve(node: NodeProcess) -> None:
    result = CliRunner().invoke(make_app(), ["status", "--config", str(node.config)])
    assert result.exit_code == 0, result.output
    assert "2 of 2 serve" in result.output
