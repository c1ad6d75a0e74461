"""What a copy in the vault says of itself, sealed with it: enough to rebuild the entry elsewhere.

Owns the record's form (docs/internals/vault.md, version 1) and what objects are named after. Never
seals anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from skerry.base.digest import Digest
from skerry.base.errors import BadInput
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.vary import variant_name
from skerry.cdn.ports import DataClass, Entry, Stored
from skerry.cdn.vault.sealing import Unsealable, VaultKey
from skerry.wire.message import Headers

RECORD_VERSION = 1
RECORDS, CONTENTS = "r", "c"
"""The two kinds of objects, and the first segment of their names."""

Slices = dict[int, tuple[Digest, int]]


@dataclass(frozen=True, slots=True)
class Record:
    """A stored response in the vault.

    Attributes:
        node: whose purge log `entry.as_of` is a position of.
        slices: number -> digest and length in bytes, for an object in slices.
    """

    entry: Entry
    data_class: DataClass
    node: str
    slices: Slices = field(default_factory=dict)


def record_name(key: VaultKey, entry: Entry) -> str:
    """The object that holds an entry's record."""
    stored = entry.stored
    variant = variant_name(stored.headers, stored.vary, bool(entry.slice_bytes))
    return key.name(RECORDS, f"{entry.key.text}\n{variant}")


def content_name(key: VaultKey, digest: Digest) -> str:
    """The object that holds a body."""
    return key.name(CONTENTS, str(digest))


def write(record: Record) -> bytes:
    """The record as plain text, to be sealed."""
    entry, stored, key = record.entry, record.entry.stored, record.entry.key
    return json.dumps(
        {
            "version": RECORD_VERSION,
            "class": record.data_class.value,
            "node": record.node,
            "as_of": entry.as_of,
            "key": [key.scheme, key.host, key.port, key.path, key.query],
            "status": stored.status,
            "headers": list(stored.headers),
            "vary": stored.vary,
            "requested_at": stored.requested_at,
            "received_at": stored.received_at,
            "size_bytes": stored.size_bytes,
            "invalidated": stored.invalidated,
            "groups": sorted(stored.groups),
            "surrogate_keys": sorted(stored.surrogate_keys),
            "digest": str(entry.digest) if entry.digest else None,
            "slice_bytes": entry.slice_bytes,
            "slices": [
                [number, str(digest), size]
                for number, (digest, size) in sorted(record.slices.items())
            ],
        },
        separators=(",", ":"),
    ).encode()


def read(data: bytes) -> Record:
    """The record that was written. Raises Unsealable, also for a class that is not public."""
    try:
        told = json.loads(data)
        if told["version"] != RECORD_VERSION:
            raise Unsealable(
                f"a record in the vault has version {told['version']}",
                next_step="use a node of that version",
            )
        stored = Stored(
            status=int(told["status"]),
            headers=Headers((name, value) for name, value in told["headers"]),
            requested_at=float(told["requested_at"]),
            received_at=float(told["received_at"]),
            vary=tuple((name, value) for name, value in told["vary"]),
            size_bytes=told["size_bytes"],
            invalidated=bool(told["invalidated"]),
            groups=frozenset(told["groups"]),
            surrogate_keys=frozenset(told["surrogate_keys"]),
        )
        digest = Digest.parse(told["digest"]) if told["digest"] else None
        entry = Entry(
            CacheKey(*told["key"]), stored, digest, int(told["as_of"]), stored.received_at,
            int(told["slice_bytes"]),
        )  # fmt: skip
        slices = {number: (Digest.parse(text), size) for number, text, size in told["slices"]}
        return Record(entry, DataClass(told["class"]), told["node"], slices)
    except (ValueError, KeyError, TypeError, BadInput) as error:
        raise Unsealable("a record in the vault cannot be read", next_step=_DROP) from error


_DROP = "run `skerry vault repair`: what is here is written again"
