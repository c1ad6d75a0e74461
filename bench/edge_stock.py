"""A data directory as a node leaves it that has stored very many small answers.

Owns its making, straight into the index and the store's folders: filling it through the door would
take hours. Bodies are real and share a few thousand files; entries, names and keys are all there.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from skerry.adapters.disk_layout import Layout
from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_variants import SqliteVariants
from skerry.app.drill.images import noise
from skerry.base.digest import Digest, digest_of
from skerry.cdn.core.key import CacheKey
from skerry.cdn.ports import Entry, Stored
from skerry.wire.message import Headers

HOST, PORT = "bench.test", 80
BODY_BYTES, BODIES = 3 * 1024, 4000
KEYS = 100_000
BLOCK = 1000
"""Every object bears one of `KEYS` surrogate keys, and one that it shares with `BLOCK` objects."""

_COLUMNS = (
    "key, variant, origin, scheme, host, port, path, query, status, headers, vary, requested_at, "
    "received_at, size_bytes, invalidated, digest, as_of, last_used, slice_bytes"
)


def stock(data_dir: Path, objects: int) -> None:
    """Fills a new data directory."""
    bodies = [_blob(data_dir, number) for number in range(min(BODIES, objects))]
    path = data_dir / "edge.sqlite"
    template = asyncio.run(_template(path, bodies[0]))
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_size = -400000")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN")
    db.execute("DELETE FROM entry")
    marks = ",".join("?" * 19)
    db.executemany(
        f"INSERT INTO entry ({_COLUMNS}) VALUES ({marks})", _rows(template, bodies, objects)
    )
    db.execute(f"INSERT INTO name SELECT 'key', 'key-' || (id % {KEYS}), id FROM entry")
    db.execute(f"INSERT INTO name SELECT 'key', 'block-' || (id / {BLOCK}), id FROM entry")
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def path_of(number: int) -> str:
    """Where an object is, counted from 0."""
    return f"/objects/{number % 97}/{number}.html"


def _rows(template: list[object], bodies: list[Digest], objects: int) -> Iterator[list[object]]:
    for number in range(objects):
        path = path_of(number)
        row = list(template)
        key = CacheKey("http", HOST, PORT, path)
        row[0], row[2], row[6] = key.digest, key.origin, path
        row[15] = str(bodies[number % len(bodies)])
        row[17] = template[17] + number / 1000  # type: ignore[operator]
        yield row


async def _template(path: Path, body: Digest) -> list[object]:
    """One row as the node itself writes it."""
    now = time.time()
    fields = Headers(
        (
            ("Content-Type", "text/html"),
            ("Cache-Control", "max-age=86400"),
            ("ETag", f'"{hashlib.sha256(b"etag").hexdigest()[:16]}"'),
            ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("Content-Length", str(BODY_BYTES)),
            ("Surrogate-Key", "key-0 block-0"),
        )
    )
    stored = Stored(200, fields, now, now, size_bytes=BODY_BYTES)
    file = EdgeFile(path)
    await SqliteVariants(file).put(
        Entry(CacheKey("http", HOST, PORT, "/"), stored, body, last_used=now)
    )
    [row] = file.read(f"SELECT {_COLUMNS} FROM entry")
    await file.close()
    return list(row)


def _blob(data_dir: Path, number: int) -> Digest:
    data = noise(number, BODY_BYTES)
    digest = digest_of(data)
    layout = Layout(data_dir)
    if number == 0:
        layout.prepare()
    path = Path(layout.blob(digest))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return digest
