"""What the vault tier asks of an object store, and of the record of what is there.

Owns the shapes, the errors, and the rule that only what is known to be public can be offered to a
vault at all (requirements P4, T2). Never knows a vendor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.outbox import Standing
from skerry.cdn.core.purge import Mode, Target
from skerry.cdn.ports import DataClass, Entry


class VaultUnavailable(SkerryError):
    """The store does not answer, or says that it cannot now. Trying again may help."""

    party = Party.UPSTREAM


class VaultRefused(SkerryError):
    """The store will not do it for this node: credentials, rights, bucket."""

    party = Party.OPERATOR


class ObjectExists(SkerryError):
    """A conditional put found something there (RFC 9110 section 13.1.2, `If-None-Match: *`)."""

    party = Party.NODE


class ObjectMissing(SkerryError):
    """There is no object of that name."""

    party = Party.UPSTREAM


class NotPublic(SkerryError):
    """Something that is not known to be public was about to leave the node."""

    party = Party.NODE


@dataclass(frozen=True, slots=True)
class Offer:
    """One sealed object for the store, with the class of what is in it.

    There is no other way to a vault than this value, and none of it for anything but PUBLIC: an
    unknown class is a sensitive one. Raises NotPublic.
    """

    name: str
    data: bytes
    data_class: DataClass

    def __post_init__(self) -> None:
        require_public(self.data_class)


def require_public(data_class: object) -> None:
    """Raises NotPublic for every class but PUBLIC itself."""
    if data_class is not DataClass.PUBLIC:
        raise NotPublic(
            "what is not known to be public never leaves the node",
            next_step="this is a fault of the node: report it",
        )


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object in the store. `etag` is the store's own mark of these bytes, "" for none."""

    name: str
    size_bytes: int
    etag: str = ""


class Vault(Protocol):
    """An object store, below one prefix of one bucket.

    Names are ASCII paths. Every call raises VaultUnavailable or VaultRefused, with no credential
    in any message; nothing is retried here.
    """

    async def put(self, offer: Offer, *, replace: bool = False) -> ObjectInfo:
        """Writes an object whole or not at all, its checksum checked by the store.

        Without `replace` only where there is none yet. Raises ObjectExists, NotPublic.
        """

    async def head(self, name: str) -> ObjectInfo | None:
        """What is there, or None."""

    def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop`, or to the end before it. Raises ObjectMissing."""

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every object whose name begins with a prefix of whole segments, in no order."""

    async def delete(self, name: str) -> None:
        """Removes an object; one that is not there is success."""

    async def close(self) -> None:
        """Ends whatever is open."""


@dataclass(frozen=True, slots=True)
class Content:
    """A body in the vault, or on its way there.

    Attributes:
        name: of its object.
        size_bytes: of the plain body.
        header: the sealed beginning of the object; drawn once, so that a cut upload goes on.
        sent_parts: how many parts the store has confirmed.
        there: the whole is confirmed.
        checked_at: when it was last read back and proven, seconds since the epoch; 0 for never.
    """

    digest: Digest
    name: str
    size_bytes: int
    header: bytes
    sent_parts: int = 0
    there: bool = False
    checked_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Due:
    """A copy that has work to do. `entry` is None when it has been withdrawn."""

    record: str
    standing: Standing
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class CopiesStatistics:
    """A snapshot of the record, at no cost. `plain_bytes` are those of the bodies that are there,
    `oldest_waiting_at` is when the copy with work to do that waits longest was due."""

    there_count: int
    waiting_count: int
    leaving_count: int
    content_count: int
    plain_bytes: int
    oldest_waiting_at: float


class Copies(Protocol):
    """The node's record of its copies, and the outbox: durable, and rebuilt from the vault.

    Writes survive the death of the process when they return. What the loss of power takes is found
    again: in the edge's index, in the purge log, in the vault. Raises EdgeUnusable.
    """

    def find(self, key: CacheKey) -> tuple[Entry, ...]:
        """The entries of a key whose record is kept, wherever their copies are by now."""

    def standing_of(self, entry: Entry) -> tuple[Standing, Entry] | None:
        """How the copy of the same variant stands, and what it is a copy of."""

    async def put(self, record: str, entry: Entry, standing: Standing, expires_at: float) -> None:
        """Notes a copy and its state; a withdrawn one of the same variant comes back."""

    async def move(self, record: str, standing: Standing) -> None:
        """Notes a new state. One that came to another revision meanwhile is left alone."""

    async def forget(self, record: str) -> None:
        """A withdrawn copy's object is gone."""

    async def purge(self, target: Target, mode: Mode) -> int:
        """HARD withdraws, SOFT marks, what a purge names; how many copies."""

    async def clear(self) -> None:
        """Withdraws every copy."""

    async def withdraw(self, entries: Sequence[Entry]) -> None:
        """These copies are to leave the vault."""

    def is_safe(self, entry: Entry) -> bool:
        """Whether the copy of this very entry is confirmed, body and record. From any thread."""

    def due(self, now: float, *, count_max: int) -> list[Due]:
        """Copies with work to do, the longest waiting first."""

    def expired(self, now: float, *, count_max: int) -> list[Entry]:
        """Copies whose time is over."""

    def content(self, digest: Digest) -> Content | None:
        """A body's own record."""

    async def put_content(self, content: Content) -> None:
        """Notes it, in place of what was noted."""

    async def forget_content(self, digest: Digest) -> None:
        """Its object is gone."""

    async def send_again(self, digest: Digest, at: float) -> None:
        """Every copy that needs this body is wanted anew."""

    async def send_record_again(self, entry: Entry, at: float) -> None:
        """One copy is wanted anew."""

    def contents(self, after: str = "", *, count_max: int = 256) -> list[Content]:
        """Bodies that are there, by digest as text, behind a cursor."""

    def unproven(self, before: float, *, count_max: int) -> list[Content]:
        """Bodies that are there and were proven before a time, the longest ago first."""

    def entries(self, after: str = "", *, count_max: int = 256) -> list[Entry]:
        """What the copies are of, by their keys' digests, behind a cursor; whole keys only."""

    def orphans(self, *, count_max: int) -> list[Content]:
        """Bodies that no copy needs any more."""

    def holds(self, digest: Digest) -> bool:
        """Whether some copy needs this body."""

    def slices(self, entry: Entry) -> dict[int, tuple[Digest, int]]:
        """The slices of a copy's entry: number -> digest and length in bytes."""

    async def put_slice(self, entry: Entry, number: int, digest: Digest, size_bytes: int) -> None:
        """Notes a slice of a copy."""

    def statistics(self) -> CopiesStatistics: ...
