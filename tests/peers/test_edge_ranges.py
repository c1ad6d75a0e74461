"""Update clients before the edge: a hundred ranges in one request, thousands of small ones.

RAUC streams bundles through a network block device, whose kernel module test machines lack, so curl
asks here with the shapes of RAUC (single ranges of a few KiB over one connection) and of casync.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from random import Random

import pytest

from tests.rig.pages import Visitor
from tests.rig.processes import Rig, need
from tests.rig.shelf import MIB, Shelf, Stream, edge, shelf

SIZE = 48 * MIB + 1234
BUNDLE = Stream(SIZE, seed=41)


@pytest.fixture
def stand(rig: Rig) -> tuple[Shelf, Visitor]:
    origin = shelf(rig)
    origin.put("/bundle", BUNDLE)
    return origin, edge(rig, origin.url)


def parts_of(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of every part, by RFC 2046 and nothing more lenient."""
    found = re.fullmatch(r"multipart/byteranges; boundary=([0-9a-zA-Z'()+_,./:=?-]+)", content_type)
    assert found is not None, content_type
    delimiter = b"\r\n--" + found[1].encode()
    preamble, *parts = (b"\r\n" + body).split(delimiter)
    assert preamble == b""
    assert parts.pop() == b"--\r\n"
    read = []
    for part in parts:
        head, _, data = part.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        read.append((fields["Content-Range"], data))
    return read


def test_one_request_with_a_hundred_ranges(stand: tuple[Shelf, Visitor]) -> None:
    origin, visitor = stand
    chance = Random(4)
    starts = sorted(chance.sample(range(0, SIZE - 70_000, 70_000), 100))
    spans = [(start, start + chance.randrange(1, 65_536)) for start in starts]
    asked = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
    for _ in range(2):
        seen = visitor.curl("/bundle", "-r", asked)
        assert seen.status == 206
        assert seen.value("Content-Length") == str(len(seen.body))
        got = parts_of(seen.value("Content-Type"), seen.body)
        assert [each[0] for each in got] == [f"bytes {a}-{b - 1}/{SIZE}" for a, b in spans]
        assert all(data == BUNDLE.read(a, b) for (_, data), (a, b) in zip(got, spans, strict=True))
    assert "hit" in seen.cache
    unique = {n for a, b in spans for n in range(a // MIB, (b - 1) // MIB + 1)}
    assert origin.sent_bytes("/bundle") <= len(unique) * MIB


def test_two_thousand_single_ranges_over_one_connection(
    stand: tuple[Shelf, Visitor], tmp_path: Path
) -> None:
    origin, visitor = stand
    chance = Random(5)
    spans = []
    for _ in range(2000):
        start = chance.randrange(0, SIZE - 4096) // 4096 * 4096
        spans.append((start, min(start + 4096 * chance.randrange(1, 9), SIZE)))
    config = tmp_path / "requests"
    # Options before a URL belong to it alone, so each request has its own block.
    common = f'silent\nshow-error\nresolve = "{visitor.resolve[1]}"\n'
    common += 'write-out = "%{http_code} %{num_connects}\\n"\n'
    blocks = [
        f'{common}url = "{visitor.url}/bundle"\nrange = {start}-{stop - 1}\n'
        f'output = "{tmp_path}/{number}"\n'
        for number, (start, stop) in enumerate(spans)
    ]
    config.write_text("next\n".join(blocks))
    argv = [need("curl"), "-K", str(config)]
    done = subprocess.run(argv, check=True, timeout=120, capture_output=True, text=True)
    answered = [line.split() for line in done.stdout.splitlines()]
    assert {status for status, _ in answered} == {"206"}
    assert len(answered) == len(spans)
    assert sum(int(connects) for _, connects in answered) <= 3
    for number, (start, stop) in enumerate(spans):
        assert (tmp_path / str(number)).read_bytes() == BUNDLE.read(start, stop)
    unique = {n for a, b in spans for n in range(a // MIB, (b - 1) // MIB + 1)}
    assert origin.sent_bytes("/bundle") <= len(unique) * MIB


def test_many_chunks_in_the_order_of_a_casync_index(stand: tuple[Shelf, Visitor]) -> None:
    """Small chunks at offsets that grow, most of them beside each other, some far apart."""
    origin, visitor = stand
    chance, at, spans = Random(6), 0, []
    while len(spans) < 96 and at < SIZE - 400_000:
        stop = at + chance.randrange(16_384, 262_144)
        spans.append((at, stop))
        at = stop if chance.random() < 0.6 else stop + chance.randrange(1, 200_000)
    asked = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
    seen = visitor.curl("/bundle", "-r", asked)
    got = parts_of(seen.value("Content-Type"), seen.body)
    assert b"".join(data for _, data in got) == b"".join(BUNDLE.read(a, b) for a, b in spans)
    unique = {n for a, b in spans for n in range(a // MIB, (b - 1) // MIB + 1)}
    assert origin.sent_bytes("/bundle") <= len(unique) * MIB
