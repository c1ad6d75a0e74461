"""Downloads through a router that forgets its table and changes its address every few seconds.

A smaller version of a thousand: what counts is that each file is whole, that next to nothing is
sent twice, and that the origin hears nothing of it (requirements L1).
"""

from __future__ import annotations

import hashlib
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from skerry.app.drill.processes import NodeProcess
from tests.rig.nat import SERVER_ADDRESS, Nat
from tests.rig.pages import HOST, build
from tests.rig.processes import Rig, need

MIB = 1 << 20
DOWNLOADS, AT_ONCE, TRIES_MAX = 150, 25, 30
SIZE = 6 * MIB
FORGETS_EVERY_SECONDS = 1.5


def reachable(node: NodeProcess) -> None:
    """Has the edge's door listen on every address of its namespace."""
    node.stop()
    text = node.config.read_text()
    node.config.write_text(text.replace(f'edge = "{node.edge}"', f'edge = "{_door(node)}"'))
    node.start()


def _door(node: NodeProcess) -> str:
    return f"0.0.0.0:{node.edge.rpartition(':')[2]}"


def test_every_download_through_a_forgetful_router_is_whole(rig: Rig, tmp_path: Path) -> None:
    with Nat() as nat:
        with nat.server():
            pages = build(rig)
            reachable(pages.node)
            expected = hashlib.sha256(pages.random("/image", SIZE)).hexdigest()
        port = pages.node.edge.rpartition(":")[2]
        options = ["-sS", "--resolve", f"{HOST}:{port}:{SERVER_ADDRESS}", "--limit-rate", "1500k"]
        options += ["--connect-timeout", "2", "--speed-limit", "1000", "--speed-time", "3"]
        options += ["-C", "-", "-w", "%{size_download}", f"http://{HOST}:{port}/image"]
        forgets, over = [0], threading.Event()

        def forget() -> None:
            while not over.wait(FORGETS_EVERY_SECONDS):
                nat.forget()
                forgets[0] += 1

        def download(number: int) -> tuple[str, int, int]:
            file, got, tries = tmp_path / str(number), 0, 0
            while tries < TRIES_MAX:
                tries += 1
                argv = nat.client_argv(need("curl"), *options, "-o", str(file))
                done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
                got += int(done.stdout or 0)
                if done.returncode == 0:
                    break
            return hashlib.sha256(file.read_bytes()).hexdigest(), got, tries

        router = threading.Thread(target=forget)
        router.start()
        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                ended = list(pool.map(download, range(DOWNLOADS)))
        finally:
            over.set()
            router.join()
        pages.node.kill()  # politely it waits for visitors that the router has cut off
        assert {digest for digest, _, _ in ended} == {expected}
        assert forgets[0] >= 3
        assert sum(tries for _, _, tries in ended) > DOWNLOADS, "nothing was broken"
        assert sum(got for _, got, _ in ended) <= DOWNLOADS * SIZE * 1.1
        assert pages.logged("/image") <= 2
