"""A layer of 500 MB: fetched once however many ask, in bounded memory, resumed where it broke."""

from __future__ import annotations

import hashlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from skerry.app.drill import wan as link
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import Image, Piece, push
from tests.rig import faulty, images, nodes
from tests.rig.nodes import HOST
from tests.rig.processes import Rig, Service

LAYER_BYTES = 500 * 10**6
ASKERS = 50
RSS_GROWTH_BYTES_MAX = 64 * 2**20
NAME = "big/layer"


@pytest.fixture(scope="module")
def big() -> Image:
    return images.big(LAYER_BYTES)


@pytest.fixture(scope="module")
def upstream(shared: Rig, big: Image) -> Service:
    """A registry that holds the image."""
    service = shared.registry()
    push(service.client(), NAME, big, "1")
    return service


@dataclass(frozen=True)
class Drained:
    """What a client that only counts and hashes the ends received."""

    size_bytes: int
    first_byte_seconds: float
    tail: bytes


def drain(authority: str, target: str) -> Drained:
    """Reads an answer as fast as it comes; keeps its last bytes."""
    host, _, port = authority.partition(":")
    started = time.perf_counter()
    with socket.create_connection((host, int(port)), timeout=60) as link_:
        link_.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += link_.recv(65536)
        first_byte = time.perf_counter() - started
        assert head.startswith(b"HTTP/1.1 200"), head[:300]
        body = head.partition(b"\r\n\r\n")[2]
        size, buffer, count = len(body), bytearray(1 << 20), 0
        tail = body
        while count := link_.recv_into(buffer):
            size += count
            tail = (
                (tail + buffer[:count])[-64:] if count < 64 else bytes(buffer[count - 64 : count])
            )
        return Drained(size, first_byte, tail)


def test_t35_fifty_clients_of_one_cold_layer_cost_one_upstream_get_and_bounded_memory(
    rig: Rig, upstream: Service, big: Image
) -> None:
    liar = rig.faulty(upstream.authority)  # tells the truth; counts
    node = rig.node(nodes.settings(liar.server.url, stall="5s"))
    client, layer = RegistryClient(node.registry), big.blobs[-1]
    assert client.manifest(f"{HOST}/{NAME}", "1").status == 200
    before = node.child.rss_bytes()
    target = f"/v2/{HOST}/{NAME}/blobs/{layer.digest}"
    with ThreadPoolExecutor(ASKERS + 1) as pool:
        asked = [pool.submit(drain, node.registry, target) for _ in range(ASKERS)]
        peak = before
        while not all(future.done() for future in asked):
            peak = max(peak, node.child.rss_bytes())
            time.sleep(0.05)
        results = [future.result() for future in asked]
    assert {found.size_bytes for found in results} == {LAYER_BYTES}
    assert {found.tail for found in results} == {layer.data[-64:]}
    assert liar.server.log.count(str(layer.digest), "GET") == 1
    assert peak - before < RSS_GROWTH_BYTES_MAX, f"grew by {(peak - before) >> 20} MiB"
    rig.run(liar.server.close())  # and it stays, with nobody upstream
    assert client.blob(f"{HOST}/{NAME}", layer.digest, keep_body=False).sha256 == layer.digest.hex


def test_t13_a_layer_whose_link_breaks_at_sixty_percent_is_resumed_by_range(
    rig: Rig, upstream: Service, big: Image
) -> None:
    wan = rig.wan(upstream.authority)
    liar = rig.faulty(f"127.0.0.1:{wan.port}")
    node = rig.node(nodes.settings(liar.server.url, stall="2s"))
    client, layer = RegistryClient(node.registry), big.blobs[-1]
    assert client.manifest(f"{HOST}/{NAME}", "1").status == 200
    rig.settle(wan)
    carried = wan.statistics().down_bytes
    rig.run(wan.switch(link.cut_after(LAYER_BYTES * 6 // 10, then_heal=True)))
    got = client.blob(f"{HOST}/{NAME}", layer.digest, keep_body=False)
    assert (got.status, got.whole, got.sha256) == (200, True, layer.digest.hex)
    asked = [a for a in liar.log if a.method == "GET" and str(layer.digest) in a.path]
    assert len(asked) == 2
    resumed_at = int(asked[1].value("Range").removeprefix("bytes=").rstrip("-"))
    assert resumed_at > LAYER_BYTES // 2
    assert wan.statistics().down_bytes - carried < LAYER_BYTES * 1.05


def test_t10_one_flipped_bit_aborts_every_reader_and_nothing_is_kept(
    rig: Rig, upstream: Service
) -> None:
    small = Piece.of("application/octet-stream", images.noise(77, 3_000_000))
    upstream.client().push_blob(NAME, small.digest, small.data)
    liar = rig.faulty(upstream.authority)
    liar.use(faulty.flip_bit(at_bytes=1_500_000))
    node = rig.node(nodes.settings(liar.server.url))
    client = RegistryClient(node.registry)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: client.blob(f"{HOST}/{NAME}", small.digest), range(8)))
    for answer in got:
        assert not answer.whole or answer.status >= 500, answer.status
        assert hashlib.sha256(small.data).hexdigest() == small.digest.hex
    liar.use()
    healed = client.blob(f"{HOST}/{NAME}", small.digest)
    assert (healed.status, healed.body) == (200, small.data)
