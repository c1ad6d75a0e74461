"""What the registry remembers, and who remembers it.

Owns the catalog's values and Protocol. The catalog holds names and times; bytes are the store's.
Reads are plain calls (an index lookup, no waiting); writes are awaited and durable on return.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError

REFERRERS_MAX = 1000
"""Of one manifest that are listed; an index has no more entries either."""

LOCAL = ""
"""The upstream of a repository that was pushed here."""


class CatalogReadOnly(SkerryError):
    """The disk will not take a write of the catalog (full or read-only); reads go on."""

    party = Party.OPERATOR


class CatalogUnusable(SkerryError):
    """The catalog cannot be read as it is: damaged, of a newer Skerry or of another program."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository as this node knows it.

    Attributes:
        upstream: the configured upstream's name, e.g. `docker.io`; LOCAL for pushed ones.
        name: the repository's name at that upstream, e.g. `library/nginx`.
    """

    upstream: str
    name: str

    @property
    def local(self) -> bool:
        return self.upstream == LOCAL

    def __str__(self) -> str:
        return f"{self.upstream}/{self.name}" if self.upstream else self.name


@dataclass(frozen=True, slots=True)
class Tag:
    """What a tag means here, and how sure that is. Times are seconds since the epoch.

    Attributes:
        digest: the manifest that is served; the last whole one.
        checked_at: when a check was last tried, successful or not (it moves the clock, R3).
        confirmed_at: when the upstream last said so.
        pending: what the upstream moved the tag to, not whole here yet; None when nothing is.
        gone_at: when the upstream first said 404 or 410; None while it exists.
    """

    repository: Repository
    name: str
    digest: Digest
    checked_at: float
    confirmed_at: float
    pending: Digest | None = None
    gone_at: float | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One edge of a manifest: what it points at. Read from the manifest's bytes.

    Attributes:
        kind: `manifest`, `config` or `layer`.
        platform: `os/arch[/variant]` of an index's child, "" when not said.
        foreign: has `urls`, must not be distributed; not needed for wholeness (T6).
    """

    child: Digest
    kind: str
    media_type: str
    size_bytes: int
    platform: str = ""
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest this node has accepted: parsed, bounded, its bytes in the store.

    Attributes:
        links: edges in the order of the document; not the subject.
        subject: what it refers to (referrers API), or None.
        artifact_type: as the referrers API reports it, "" when none.
        annotations: as the referrers API reports them.
    """

    digest: Digest
    media_type: str
    size_bytes: int
    links: tuple[Link, ...] = ()
    subject: Digest | None = None
    artifact_type: str = ""
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A content that a repository is known to hold: the right to serve it there (T17, T23)."""

    repository: Repository
    digest: Digest
    kind: str
    last_used: float


@dataclass(frozen=True, slots=True)
class Pin:
    """Keeps an image: by tag (whatever it means later) or by digest."""

    repository: Repository
    reference: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Listing:
    """A small document asked of the upstream and kept, with its times.

    Attributes:
        kind: `tags` or `referrers`.
        subject: "" for tags, the digest asked about for referrers.
        body: JSON text: a list of tag names, or a list of descriptors.
        checked_at, confirmed_at: as in Tag.
    """

    repository: Repository
    kind: str
    subject: str
    body: str
    checked_at: float
    confirmed_at: float


class Catalog(Protocol):
    """Names and times, surviving restart. Writes raise CatalogReadOnly when the disk will not."""

    # tags
    def tag(self, repository: Repository, name: str) -> Tag | None: ...
    def tags(self, repository: Repository) -> list[Tag]:
        """In lexical (ASCII) order of name."""

    async def put_tag(self, tag: Tag) -> None: ...
    async def delete_tag(self, repository: Repository, name: str) -> None: ...

    # manifests and membership
    def manifest(self, digest: Digest) -> Manifest | None: ...
    async def put_manifest(self, repository: Repository, manifest: Manifest, *, now: float) -> None:
        """Accepts a manifest into a repository, in one transaction.

        The manifest and every child it links become members of the repository; a member there
        already keeps its last use. That a child is there is the manifest's word only, see
        `holders`.
        """

    def is_member(self, repository: Repository, digest: Digest) -> bool: ...
    async def put_member(
        self, repository: Repository, digest: Digest, kind: str, *, now: float
    ) -> None: ...
    async def delete_member(self, repository: Repository, digest: Digest) -> None:
        """Takes a content out of a repository, with the tags that mean it. Bytes stay."""

    def members(self, repository: Repository | None = None) -> Iterable[Member]:
        """All members, of one repository or of all."""

    def repositories_of(self, digest: Digest) -> list[Repository]:
        """Where a content is a member, in order."""

    def holders(self, digest: Digest) -> list[Repository]:
        """Where a content is proven to be: accepted as a manifest, or put as a member.

        The others only have a manifest that names it, which anybody who may push there can write.
        """

    def referrers(self, repository: Repository, subject: Digest) -> list[Manifest]:
        """Members of the repository whose subject is this, by digest, without their links.

        No more than REFERRERS_MAX: anybody may attach things to an image, and each is listed.
        """

    def parents(self, repository: Repository, digest: Digest) -> list[Digest]:
        """The manifests of the repository that link this content."""

    def linked_size(self, repository: Repository, digest: Digest) -> int | None:
        """The length that a manifest of the repository gives for a content, in bytes; None when
        none links it. One of them does: it is bound by the digest."""

    def children(self, digest: Digest) -> tuple[Link, ...]:
        """The links of a manifest; () when it is not known."""

    # whole catalog
    def repositories(self) -> list[Repository]: ...
    def all_tags(self) -> Iterable[Tag]: ...
    async def touch(self, uses: Iterable[tuple[Repository, Digest, float]]) -> None:
        """Moves members' last use on; unknown ones are passed over."""

    # listings
    def listing(self, repository: Repository, kind: str, subject: str) -> Listing | None: ...
    async def put_listing(self, listing: Listing) -> None: ...

    # pins
    def pins(self) -> list[Pin]: ...
    async def put_pin(self, pin: Pin) -> None: ...
    async def delete_pin(self, repository: Repository, reference: str) -> bool:
        """Whether there was one."""

    # removal
    async def drop(self, roots: Iterable[tuple[Repository, Digest]]) -> None:
        """Forgets manifests in their repositories, in one transaction: the membership, the tags
        that mean them (a tag with this digest; a `pending` of it is cleared), and the members
        that no other manifest of the repository links. Pinned tags are the caller's business."""

    async def close(self) -> None: ...
