"""The attack and the legitimate client of `bench.floods`, each a process of its own.

Owns the requests of each shape and their timing. Prints one JSON line. Needs nothing but Python,
so that it starts quickly.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

SITE, REPOSITORY = "www.example.org", "/v2/up.test"
CONNECTIONS = 16
IMAGES, LAYERS = 9, 100
LEGIT_PAUSE_SECONDS = 0.02
_SEED = time.time_ns() % 10**9

Doors = dict[str, str]


class Line:
    """One kept-alive connection, one request after the other."""

    def __init__(self, authority: str) -> None:
        self._host, _, self._port = authority.rpartition(":")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, host: str, *fields: str) -> int:
        """The status; the body is read."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, int(self._port))
        reader, writer = self._streams
        more = "".join(f"{field}\r\n" for field in fields)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lower = head.lower()
            if b"content-length: " in lower:
                length = int(lower.split(b"content-length: ", 1)[1].split(b"\r", 1)[0])
                await reader.readexactly(length)
            elif b"chunked" in lower:
                while (size := int(await reader.readline(), 16)) or await reader.readline() is None:
                    await reader.readexactly(size + 2)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._streams = None
            return 0
        if b"connection: close" in lower:
            writer.close()
            self._streams = None
        return int(head[9:12])


def attack_of(shape: str, doors: Doors, huge: Path) -> Callable[[int], tuple[str, str, str, str]]:
    """Door, path, host and one more field of the nth request."""
    digests = json.loads(huge.read_text()) if shape == "pulls" else []

    def made(n: int) -> tuple[str, str, str, str]:
        tag = f"{_SEED}-{n}"
        registry, edge = doors["registry"], doors["edge"]
        match shape:
            case "names":
                path = f"/x{tag}/app/manifests/1" if n % 2 else f"/legit/app-1/manifests/v{tag}"
                return registry, REPOSITORY + path, registry, "X: y"
            case "queries":
                return edge, f"/page?bust={tag}", SITE, "X: y"
            case "ranges":
                at = random.randrange(60 << 20)
                bombs = ("0-," * 60 + "0-", f"{at}-{at}", f"{at}-{at + 9},{at + 5}-{at + 14}")
                return edge, "/film", SITE, f"Range: bytes={bombs[n % 3]}"
            case "hosts":
                return edge, "/page", f"h{tag}.{'wild.test' if n % 2 else 'nobody.test'}", "X: y"
            case "pulls":
                path = f"{REPOSITORY}/legit/huge/blobs/{digests[n % len(digests)]}"
                return registry, path, registry, "Range: bytes=0-0"
            case "hit":
                return edge, "/page", SITE, "X: y"
            case "full-hit":
                return edge, "/page", SITE, "Cache-Control: max-stale=1"
            case "unknown-host":
                return edge, "/page", f"h{tag}.nobody.test", "X: y"
            case _:
                return edge, f"/page?bust={tag}", SITE, "X: y"

    return made


async def attack(shape: str, doors: Doors, seconds: float, rate: float, huge: Path) -> object:
    """Opened at an even rate; a connection whose answer is late sends its next one late."""
    made, said = attack_of(shape, doors, huge), Counter[int]()
    began = time.monotonic()

    async def one(number: int) -> None:
        line = Line(doors[made(0)[0]] if made(0)[0] in doors else made(0)[0])
        for turn in itertools.count():
            at = began + (turn * CONNECTIONS + number) / rate
            if at > began + seconds:
                return
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            _, path, host, field = made(turn * CONNECTIONS + number)
            said[await line.get(path, host, field)] += 1

    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))
    return {"count": said.total(), "seconds": time.monotonic() - began, "said": dict(said)}


async def legit(shape: str, doors: Doors, seconds: float) -> object:
    """Hits, one in ten something that must be fetched, now and then something quite new."""
    registry = shape in ("names", "pulls")
    authority = doors["registry" if registry else "edge"]
    line = Line(authority)
    hits: list[float] = []
    misses: list[float] = []
    refused: list[int] = []
    known, new = _known(registry), _new(registry)
    hit = f"{REPOSITORY}/legit/small/manifests/1" if registry else "/page"
    host = authority if registry else SITE
    images = [f"{REPOSITORY}/legit/app-{n}/manifests/1" for n in range(IMAGES)]
    for path in (hit, *(images if registry else ())):
        await line.get(path, host)
    began = time.monotonic()
    for turn in itertools.count(1):
        if time.monotonic() > began + seconds:
            break
        path, kept = hit, hits
        if turn % 100 == 0:
            path, kept = next(new), misses
        elif turn % 10 == 0:
            path, kept = next(known), misses
        at = time.perf_counter()
        status = await line.get(path, host)
        kept.append(time.perf_counter() - at)
        if status != 200:
            refused.append(status)
        await asyncio.sleep(LEGIT_PAUSE_SECONDS)
    return {"hits": hits, "misses": misses, "refused": refused}


def _known(registry: bool) -> Iterator[str]:
    """Layers of the image that was pulled; pages whose time is over."""
    numbers = list(range(IMAGES * LAYERS))
    random.shuffle(numbers)
    for number in itertools.cycle(numbers):
        layer, image = divmod(number, IMAGES)
        digest = hashlib.sha256(b"layer %d of %d" % (layer, image)).hexdigest()
        yield f"{REPOSITORY}/legit/app-{image}/blobs/sha256:{digest}" if registry else (
            f"/short-{number % 20}")  # fmt: skip


def _new(registry: bool) -> Iterator[str]:
    for number in itertools.count():
        name = f"{_SEED}-{number}"
        yield f"{REPOSITORY}/legit/new-{name}/manifests/1" if registry else f"/new/{name}"


def main() -> None:
    """`floods_load.py attack|legit SHAPE REGISTRY EDGE SECONDS RATE HUGE`."""
    role, shape, registry, edge, seconds, rate, huge = sys.argv[1:]
    doors = {"registry": registry, "edge": edge}
    work = (
        attack(shape, doors, float(seconds), float(rate), Path(huge))
        if role == "attack"
        else legit(shape, doors, float(seconds))
    )
    print(json.dumps(asyncio.run(work)))


if __name__ == "__main__":
    main()
