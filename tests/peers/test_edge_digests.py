"""Digests of representations (RFC 9530) as curl and openssl see them."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

from tests.rig.processes import Rig, need
from tests.rig.shelf import FOREVER, MIB, Stream, edge, shelf

WANT = ("-H", "Want-Repr-Digest: sha-256=10")


def field(data: bytes) -> tuple[str, str]:
    encoded = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return "Repr-Digest", f"sha-256=:{encoded}:"


def test_openssl_agrees_with_the_digest_that_is_told(rig: Rig, tmp_path: Path) -> None:
    origin = shelf(rig)
    visitor = edge(rig, origin.url, {"data_class": "public", "slice": ""})
    film = Stream(3 * MIB, seed=61)
    origin.put("/film", film)
    assert visitor.curl("/film").status == 200
    visitor.node.wait_until_stored()
    file = tmp_path / "film"
    seen = visitor.curl("/film", *WANT, "-o", str(file))
    assert "hit" in seen.cache
    argv = [need("openssl"), "dgst", "-sha256", "-binary", str(file)]
    said = subprocess.run(argv, check=True, capture_output=True).stdout
    told = f"sha-256=:{base64.b64encode(said).decode()}:"
    assert seen.value("Repr-Digest") == told
    for options in (("-r", "5-9"), ("-I",)):
        assert visitor.curl("/film", *WANT, *options).value("Repr-Digest") == told


def test_a_changed_byte_never_gets_through_where_the_origin_promises_a_digest(rig: Rig) -> None:
    origin = shelf(rig)
    visitor = edge(rig, origin.url, {"data_class": "public", "slice": ""})
    right = Stream(2 * MIB, seed=62).read(0, 2 * MIB)
    wrong = right[:-1] + bytes([right[-1] ^ 1])
    origin.put("/large", wrong, *FOREVER, field(right))
    origin.put("/small", wrong[-1000:], *FOREVER, field(right[-1000:]))
    argv = [need("curl"), "-sS", "--max-time", "20", *visitor.resolve, "-o", "/dev/null"]
    for _ in range(2):
        done = subprocess.run([*argv, f"{visitor.url}/large"], check=False, capture_output=True)
        assert done.returncode in (18, 56), done.stderr  # short body, reset: never a clean end
        seen = visitor.curl("/small")
        assert seen.status == 502
        assert "http_protocol_error" in seen.value("Proxy-Status")
    blobs = visitor.node.folder / "data" / "blobs"
    assert not any(each.is_file() for each in blobs.rglob("*"))
    origin.put("/large", right, *FOREVER, field(right))
    origin.put("/small", right[-1000:], *FOREVER, field(right[-1000:]))
    assert visitor.curl("/large").body == right
    assert visitor.curl("/small").body == right[-1000:]
