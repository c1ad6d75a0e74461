"""Models with the real `huggingface_hub`: redirects, resuming, a dead hub, tokens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from skerry.app.drill import wan as link
from tests.rig.hub import COMMIT, Hub, hub
from tests.rig.pages import HOST, Visitor
from tests.rig.processes import Rig
from tests.rig.shelf import MIB, Stream, edge

pytest.importorskip("huggingface_hub")

CANARY = "hf_canaryCanaryCanary"
WEIGHTS = Stream(24 * MIB + 5, seed=21)
CONFIG = b'{"model_type": "tide"}'
DOWNLOAD = "import huggingface_hub as h, sys; print(h.hf_hub_download('team/model', sys.argv[1]))"
SNAPSHOT = "import huggingface_hub as h; print(h.snapshot_download('team/model', max_workers=2))"


def stand(rig: Rig, *, follow: bool = True) -> tuple[Hub, Visitor]:
    """A hub with a small and a large file, and a node before it that is addressed by number."""
    made = hub(rig)
    made.put("config.json", CONFIG)
    made.put("model.safetensors", WEIGHTS)
    more = {"redirect_origins": [made.storage.url]} if follow else {}
    route = {"data_class": "public", "stale_if_error": "30d"}
    visitor = edge(rig, made.front.url, route, hosts=[HOST, "127.0.0.1"], **more)
    return made, visitor


def start(rig: Rig, code: str, *argv: str, endpoint: str, home: Path, token: str = "") -> list[str]:
    """The command line and environment of a client with a cache of its own."""
    home.mkdir(exist_ok=True)
    env = {
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PATH": os.environ["PATH"],
        **({"HF_TOKEN": token} if token else {}),
    }
    pairs = [f"{name}={value}" for name, value in env.items()]
    return ["env", "-i", *pairs, sys.executable, "-c", code, *argv]


def run(argv: Sequence[str]) -> Path:
    """Where the client has put it. Raises AssertionError with what it said."""
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(done.stdout.strip().splitlines()[-1])


def endpoint(visitor: Visitor) -> str:
    return f"http://{visitor.node.edge}"


def is_whole(snapshot: Path) -> None:
    assert (snapshot / "config.json").read_bytes() == CONFIG
    assert (snapshot / "model.safetensors").read_bytes() == WEIGHTS.read(0, WEIGHTS.size_bytes)


def test_a_model_comes_once_and_then_from_here_when_the_hub_is_dead(
    rig: Rig, tmp_path: Path
) -> None:
    made, visitor = stand(rig)
    first = start(rig, DOWNLOAD, "model.safetensors", endpoint=endpoint(visitor),
                  home=tmp_path / "a")  # fmt: skip
    assert run(first).read_bytes() == WEIGHTS.read(0, WEIGHTS.size_bytes)
    assert made.storage.sent_bytes("/lfs/model.safetensors") == WEIGHTS.size_bytes
    again = start(rig, DOWNLOAD, "model.safetensors", endpoint=endpoint(visitor),
                  home=tmp_path / "b")  # fmt: skip
    assert run(again).read_bytes() == WEIGHTS.read(0, WEIGHTS.size_bytes)
    assert made.storage.sent_bytes("/lfs/model.safetensors") == WEIGHTS.size_bytes
    # A snapshot names the commit, which is another URL than the branch.
    for name in ("c", "d"):
        is_whole(run(start(rig, SNAPSHOT, endpoint=endpoint(visitor), home=tmp_path / name)))
        assert made.storage.sent_bytes("/lfs/model.safetensors") == 2 * WEIGHTS.size_bytes
    visitor.node.wait_until_stored()
    made.kill(rig)
    visitor.node.restart()
    is_whole(run(start(rig, SNAPSHOT, endpoint=endpoint(visitor), home=tmp_path / "e")))
    one = start(rig, DOWNLOAD, "model.safetensors", endpoint=endpoint(visitor), home=tmp_path / "f")
    assert run(one).read_bytes() == WEIGHTS.read(0, WEIGHTS.size_bytes)


def test_a_client_whose_link_dies_without_a_word_goes_on_by_range(rig: Rig, tmp_path: Path) -> None:
    made, visitor = stand(rig)
    wan = rig.wan(visitor.node.edge)
    rig.run(wan.switch(link.rate(8 * MIB)))
    argv = start(rig, DOWNLOAD, "model.safetensors", endpoint=f"http://127.0.0.1:{wan.port}",
                 home=tmp_path / "a")  # fmt: skip
    child = rig.child(argv, rig.place("client"))
    child.wait_until(lambda: wan.statistics().down_bytes > 6 * MIB, seconds_max=60)
    rig.run(wan.switch(link.HANG))
    connections = wan.statistics().connections
    child.wait_until(lambda: wan.statistics().connections > connections, seconds_max=30)
    rig.run(wan.switch(link.PASS))
    child.wait_until(lambda: "model.safetensors" in child.log_tail().splitlines()[-1])
    whole = Path(child.log_tail().strip().splitlines()[-1])
    assert whole.read_bytes() == WEIGHTS.read(0, WEIGHTS.size_bytes)
    # What was in the buffers of the dead connection is lost, and no more.
    assert wan.statistics().down_bytes < WEIGHTS.size_bytes + 8 * MIB
    assert made.storage.sent_bytes("/lfs/model.safetensors") <= WEIGHTS.size_bytes


def test_a_token_goes_to_the_hub_and_nowhere_else(rig: Rig, tmp_path: Path) -> None:
    made, visitor = stand(rig)
    made.token = CANARY
    argv = start(rig, SNAPSHOT, endpoint=endpoint(visitor), home=tmp_path / "a", token=CANARY)
    is_whole(run(argv))
    assert any(CANARY in each.value("Authorization") for each in made.front.asked)
    assert made.storage.asked
    assert not any(CANARY in str(each.fields) + each.target for each in made.storage.asked)
    visitor.node.wait_until_stored()
    # What came for a token is for its bearer alone: nobody else gets it, also when the hub is gone.
    for path in ("config.json", "model.safetensors"):
        assert visitor.curl(f"/team/model/resolve/main/{path}").status == 401
    made.kill(rig)
    for path in ("config.json", "model.safetensors"):
        seen = visitor.curl(f"/team/model/resolve/main/{path}")
        assert seen.status in (502, 503, 504)
    kept = [each for each in visitor.node.folder.rglob("*") if each.is_file()]
    assert not any(CANARY.encode() in each.read_bytes() for each in kept)


def test_a_redirect_to_a_server_that_is_not_listed_is_the_clients(rig: Rig, tmp_path: Path) -> None:
    made, visitor = stand(rig, follow=False)
    seen = visitor.curl("/team/model/resolve/main/model.safetensors")
    assert seen.status == 302
    assert seen.value("Location").startswith(f"{made.storage.url}/lfs/")
    assert made.storage.asked == []
    argv = start(rig, DOWNLOAD, "model.safetensors", endpoint=endpoint(visitor), token=CANARY,
                 home=tmp_path / "a")  # fmt: skip
    assert run(argv).read_bytes() == WEIGHTS.read(0, WEIGHTS.size_bytes)
    assert not any(CANARY in str(each.fields) for each in made.storage.asked)


def test_a_signature_that_a_redirect_holds_is_not_kept_here(rig: Rig) -> None:
    made, visitor = stand(rig)
    path = f"/team/model/resolve/{COMMIT}/model.safetensors"
    seen = visitor.curl(path, "-r", "0-99")
    assert (seen.status, seen.body) == (206, WEIGHTS.read(0, 100))
    assert seen.value("X-Linked-Size") == str(WEIGHTS.size_bytes)
    assert seen.value("X-Repo-Commit") == COMMIT
    assert not seen.value("Location")
    visitor.node.wait_until_stored()
    kept = [each for each in visitor.node.folder.rglob("*") if each.is_file()]
    assert not any(b"X-Amz-Signature" in each.read_bytes() for each in kept)
    assert made.storage.sent_bytes("/lfs/model.safetensors") <= MIB


def test_a_branch_that_moved_is_noticed_at_the_next_request(rig: Rig) -> None:
    made, visitor = stand(rig)
    path = "/team/model/resolve/main/model.safetensors"
    assert visitor.curl(path, "-r", "0-9").body == WEIGHTS.read(0, 10)
    newer = Stream(24 * MIB, seed=22)
    made.put("model.safetensors", newer)
    assert visitor.curl(path, "-r", "0-9").body == newer.read(0, 10)
