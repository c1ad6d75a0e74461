"""What the cache keeps and decides on, as values, and what it asks of the rest of the node.

Owns the shapes shared by the cores and the shell, and the shell's Protocols. Times are seconds
since the epoch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError
from skerry.upstream.ports import Exchange, Place
from skerry.wire.message import Headers, Interim

if TYPE_CHECKING:  # the cores below import the values above
    from skerry.cdn.core.key import CacheKey
    from skerry.cdn.core.purge import Mode, Target
    from skerry.cdn.core.purge_log import Record
    from skerry.cdn.core.receipt import Receipt


class DataClass(StrEnum):
    """Whose business a response is (requirements P4). Unknown means sensitive."""

    PUBLIC = "public"
    SENSITIVE = "sensitive"


class ClientAddress(StrEnum):
    """On which requests an origin is told the address of the client that asked."""

    UNSHARED = "unshared"  # where the answer is for that client alone
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """What the operator decided for a route; every override is explicit and visible.

    Attributes:
        data_class: SENSITIVE is never stored.
        fresh_seconds: overrides the origin's freshness; None leaves it to the origin.
        stale_if_error_seconds: serve stale so long when the origin fails, whatever the origin
            said of `must-revalidate`, `proxy-revalidate` and `s-maxage`; None keeps to the
            standard (requirements section 7, decision 2).
        stale_while_revalidate_seconds: the same for revalidation behind the answer.
        store_cookies: responses with Set-Cookie may be stored, without that field.
        heuristic_share: of the time since Last-Modified (RFC 9111 section 4.2.2).
        query_allow: query parameters that are part of the key; None for all of them.
        stretch: how many times as long as usual an answer is fresh, where its origin does not
            forbid stale ones; more than 1 while money is short.
        client_address: when the origin is told who asked.
    """

    data_class: DataClass = DataClass.SENSITIVE
    fresh_seconds: float | None = None
    stale_if_error_seconds: float | None = None
    stale_while_revalidate_seconds: float | None = None
    store_cookies: bool = False
    heuristic_share: float = 0.1
    query_allow: tuple[str, ...] | None = None
    stretch: int = 1
    client_address: ClientAddress = ClientAddress.UNSHARED


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored response (RFC 9111 section 3), without its body.

    Attributes:
        status: its status code; 206 only for parts.
        headers: end-to-end fields as stored, section 3.1 applied.
        requested_at, received_at: for the age arithmetic of section 4.2.3.
        vary: normalised values of the request fields that `Vary` names, () for none.
        size_bytes: length of the whole representation, None while it is not known.
        invalidated: marked invalid or soft-purged: must be validated before it is used.
    """

    status: int
    headers: Headers
    requested_at: float
    received_at: float
    vary: tuple[tuple[str, str], ...] = ()
    size_bytes: int | None = None
    invalidated: bool = False
    groups: frozenset[str] = field(default_factory=frozenset)
    surrogate_keys: frozenset[str] = field(default_factory=frozenset)


VARIANTS_MAX = 64
"""Stored responses of one key; the oldest goes when one more comes (requirements D5)."""


class EdgeUnusable(SkerryError):
    """The cache's index cannot be read or takes no writes."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored response and where its body is.

    Attributes:
        digest: of the body in the store; None for an empty one, and for one in slices.
        slice_bytes: length of its slices, 0 for a whole; then the status is 206.
        as_of: position of the purge log before the request that brought it left.
    """

    key: CacheKey
    stored: Stored
    digest: Digest | None
    as_of: int = 0
    last_used: float = 0.0
    slice_bytes: int = 0


class Variants(Protocol):
    """The index of stored responses. Derived: without it the cache is cold, not wrong.

    Two entries are one variant when key, names in `Vary` and the values of these agree, and both
    or none are in slices. Slices go with their entry, and stay when it is put again. Writes
    happen in the order in which they are called, and survive the death of the process.
    """

    def find(self, key: CacheKey) -> tuple[Entry, ...]:
        """Every entry of a key. Raises EdgeUnusable."""

    async def put(self, entry: Entry, *, at_leisure: bool = False) -> None:
        """Keeps an entry in place of the same variant's; at most `VARIANTS_MAX` of a key.

        `at_leisure`: nobody's answer waits for it, so it may wait for others to be kept with.
        """

    async def remove(self, entries: Sequence[Entry]) -> None:
        """Forgets these variants."""

    async def purge(self, target: Target, mode: Mode) -> int:
        """Removes (HARD) or invalidates (SOFT) what `core.purge.names_it`; how many entries."""

    async def touch(self, uses: Sequence[tuple[CacheKey, float]]) -> None:
        """Writes last uses."""

    def slices(self, entry: Entry) -> dict[int, tuple[Digest, int]]:
        """The slices of an entry that are here: number -> digest and length in bytes."""

    async def put_slice(self, entry: Entry, number: int, digest: Digest, size_bytes: int) -> None:
        """Keeps a slice, if its entry is still there."""

    def holds(self, digest: Digest) -> bool:
        """Whether some entry has this body or slice."""

    def all(self) -> Iterator[Entry]:
        """Every entry, in no order."""

    def oldest(self, count_max: int) -> Iterator[Entry]:
        """The entries whose last use is longest ago, in that order."""

    def newest(self, count_max: int) -> Iterator[Entry]:
        """The entries that were used last, the latest first."""

    async def clear(self) -> None:
        """Forgets everything, in one step."""


class PurgeBook(Protocol):
    """What must outlive the node of its purges: the log's end, and every receipt."""

    @property
    def node(self) -> str:
        """Drawn with the file: a lost book is another node's."""

    def base(self) -> tuple[int, dict[str, int]]:
        """Position and vector before the first record kept."""

    def records(self) -> list[Record]:
        """The kept records, in the order in which they were applied."""

    async def note(self, records: Sequence[Record]) -> None:
        """Keeps records, in their order; on the disk when this returns."""

    async def fold(self, position: int, vector: Mapping[str, int]) -> None:
        """Moves the base: what was applied up to `position` is forgotten. On the disk then."""

    def last_receipt(self) -> Receipt | None: ...

    async def keep(self, receipts: Sequence[Receipt]) -> None:
        """Keeps receipts; on the disk when this returns."""

    def receipts(self, after: int = 0) -> list[bytes]:
        """The lines of the receipts after a sequence number, at most 1,000."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A stored response as a nearer tier gives it, its body still to come.

    Attributes:
        tier: `sibling` or `vault`; a metric label.
        status, headers: as stored there; `Age` is as of now, and a tier that is a cache of its
            own has appended its member of Cache-Status. Never a part (206).
        digest: of the whole body; None only for an empty one.
        place: where the body is read from.
        as_of: the position of this node's purge log up to which the copy was judged; None for
            the moment in which it was asked for.
        invalidated: it must be validated before it is used.
    """

    tier: str
    status: int
    headers: Headers
    size_bytes: int
    digest: Digest | None
    place: Place | None
    as_of: int | None = None
    invalidated: bool = False


class Tier(Protocol):
    """A place nearer than the origin that may hold a response: a sibling, the vault."""

    async def find(self, key: CacheKey, headers: Headers) -> Copy | None:
        """What answers a GET of `key` with these request fields, fresh or stale.

        Asked once for each miss on a public route, whatever becomes of the copy. Bounds its own
        waiting; what goes wrong is None. Unknown class means sensitive, and gives nothing.
        """


class Deeper(Protocol):
    """A place nearer than the origin that may hold objects in slices."""

    def sliced(
        self, key: CacheKey, headers: Headers
    ) -> tuple[Entry, dict[int, tuple[Digest, int]]] | None:
        """An object in slices that these request fields select, as it was stored, and the slices
        that can be had: number -> digest and length in bytes."""

    def place(self, digest: Digest) -> Place | None:
        """Where a slice is read from; None when it cannot be had there now."""


class Backing(Protocol):
    """Keeps a second copy of what is stored here, behind everybody's back."""

    def want(self, entry: Entry) -> None:
        """Told of every response that is stored, or stored anew; must not block."""

    async def purge(self, target: Target, mode: Mode) -> int:
        """Takes a purge, durably: how many copies it names. Raises EdgeUnusable."""

    async def clear(self) -> None:
        """Everything counts as purged."""

    def safe(self, entry: Entry) -> bool | None:
        """Whether its copy is confirmed; None when it gets none. Asked from any thread."""


class ReadyAnswers(Protocol):
    """Answers that are given again without asking the edge, wherever they are kept."""

    def forget(self, about: str) -> None:
        """None that was made of this (a `CacheKey.digest`) is given from now on."""

    def forget_all(self) -> None:
        """None is given from now on."""


class Origin(Protocol):
    """The origin servers of a site, in order of health, behind breakers and budgets."""

    @property
    def name(self) -> str: ...

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: AsyncIterator[bytes] | None = None,
        interim: Interim | None = None,
    ) -> Exchange:
        """The answer's head, whatever its status; `target` is path and query as sent.

        A request with a body is tried once. `interim` takes 1xx answers on the way. Raises
        Unavailable.
        """

    def reachable(self) -> bool:
        """Whether some server would be asked now."""
