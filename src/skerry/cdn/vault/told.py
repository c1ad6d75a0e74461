"""What looking after a vault stands on, what may be wanted of it, and what it tells.

Owns the values shared by `care` and `restoring`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.cdn.core.key import CacheKey
from skerry.cdn.ports import Entry, Variants
from skerry.cdn.vault.bodies import Bodies
from skerry.cdn.vault.ports import Copies, Vault
from skerry.cdn.vault.sealing import VaultKey
from skerry.cdn.vault.sending import Rule
from skerry.cdn.vault.tier import VaultTier
from skerry.cdn.vault.writeback import WriteBack
from skerry.store.ports import Store
from skerry.telemetry.events import Events
from skerry.upstream.fills import Fills

PAGE = 256
GIB = 1 << 30
REQUEST_BYTES = 4 << 20
"""About so many bytes come with one request."""


class Step(StrEnum):
    """What a line tells of."""

    PLAN = "plan"
    PROGRESS = "progress"
    DAMAGED_VAULT = "damaged_vault"
    DAMAGED_DISK = "damaged_disk"
    HEALED = "healed"
    LOST = "lost"
    SKIPPED = "skipped"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Told:
    """One line of what is being done.

    Attributes:
        subject: a digest, or the key's text of a record.
        read_bytes, total_bytes: from the vault, of bodies.
        read_micros: what the store charges for `total_bytes`; 0 when that is not known.
    """

    step: Step
    subject: str = ""
    what: str = ""
    done_count: int = 0
    total_count: int = 0
    read_bytes: int = 0
    total_bytes: int = 0
    request_count: int = 0
    read_micros: int = 0
    damaged_count: int = 0
    healed_count: int = 0
    lost_count: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much is to be looked at: a share of the copies, and no more bytes than that."""

    share: float = 1.0
    bytes_max: int | None = None
    plan_only: bool = False


@dataclass(frozen=True, slots=True)
class CareParts:
    """What care stands on.

    Attributes:
        check: re-hashes a body on the disk and puts a bad one away; whether it is sound.
        position: of this node's purge log; `node` is the log's name.
        purged: whether a purge speaks against an entry.
        keep: takes an entry into the edge's index, if no purge speaks against it.
        read_micros_per_gib: what the store charges, 0 when that is not known.
    """

    vault: Vault
    copies: Copies
    bodies: Bodies
    tier: VaultTier
    writeback: WriteBack
    store: Store
    variants: Variants
    fills: Fills
    key: VaultKey
    rules: Callable[[CacheKey], Rule]
    check: Callable[[Digest], Awaitable[bool]]
    node: str
    position: Callable[[], int]
    purged: Callable[[Entry], bool]
    keep: Callable[[Entry], Awaitable[object]]
    clock: Clock
    chance: Random
    events: Events
    lifetime_seconds: float | None = None
    read_micros_per_gib: int = 0

    def price(self, size_bytes: int) -> int:
        """What reading so many bytes costs, in millionths; 0 when that is not known."""
        return -(-size_bytes * self.read_micros_per_gib // GIB)
