"""What the tokens of a node remember, and who remembers it.

Owns the Protocols of the book of tokens and of the keys, and their errors. Nothing in the book
opens a door: secrets are kept as hashes, and tokens are not kept at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from skerry.base.errors import Party, SkerryError
from skerry.trust.tokens.core.claims import Claims
from skerry.trust.tokens.core.refresh import Family, Outcome
from skerry.trust.tokens.core.ring import Ring
from skerry.trust.tokens.core.rules import Grant

ROBOTS_MAX = 10_000
TOKEN_SECONDS_MAX = 86400.0 + 3600.0
"""Longer than any access token is believed, leeway included: what was revoked before has ended."""


class TokensUnusable(SkerryError):
    """The book of tokens cannot be read or takes no writes."""

    party = Party.OPERATOR


class KeysUnusable(SkerryError):
    """The keys that tokens are signed with cannot be read, or are no secret any more."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class Robot:
    """A program that logs in. Times are seconds since the epoch.

    Attributes:
        name: without its prefix.
        secret_hash: SHA-256 of a secret of 256 random bits, which needs no slow hash.
        expires_at: None for never.
        made_by: the identity that asked for it.
    """

    name: str
    secret_hash: bytes
    grants: tuple[Grant, ...]
    made_at: float
    expires_at: float | None
    made_by: str


Use = Callable[[Family | None], tuple[Outcome, Family | None]]
"""What using a refresh token means for its family: `refresh.used` with all but the family given."""


class TokenBook(Protocol):
    """Revocations, refresh families and robots. Writes are durable on return; reads are plain
    calls. Raises TokensUnusable."""

    # revocations
    async def revoke_token(self, token_id: str, *, until: float) -> None:
        """One token is believed no more; forgotten once it would have ended by itself."""

    async def revoke_subject(self, subject: str, *, at: float) -> None:
        """Nothing made for an identity up to then is believed, its refresh families included."""

    async def revoke_group(self, group: str, *, at: float) -> None:
        """Nothing made up to then for whoever was in a group is believed."""

    def is_revoked(self, claims: Claims) -> bool:
        """Whether one of these is about a token."""

    # refresh families
    async def put_family(self, family: Family) -> None: ...

    async def use_family(self, name: str, use: Use) -> tuple[Outcome, Family | None]:
        """Looks a family up, asks `use` what its use means and keeps the family that it returns,
        as one step that no other use comes between. Returns the outcome and the family after it."""

    # robots
    async def put_robot(self, robot: Robot) -> bool:
        """False when the name is taken, or there are ROBOTS_MAX."""

    def robot(self, name: str) -> Robot | None: ...
    def robots(self) -> list[Robot]:
        """By name."""

    async def delete_robot(self, name: str) -> bool:
        """Whether there was one."""

    async def sweep(self, now: float) -> None:
        """Forgets what has ended by itself."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What is kept of the keys: the ring, and each private key as PEM by its name.

    Attributes:
        node: what this node is called by nobody else; part of issuer and audience.
        refresh_key: what refresh tokens are made with.
    """

    node: str
    refresh_key: bytes
    ring: Ring = ()
    private: tuple[tuple[str, bytes], ...] = ()

    def __repr__(self) -> str:
        return f"KeyFile({self.node!r}, {len(self.ring)} keys)"


class KeyStore(Protocol):
    """Where the keys are. Both block. Raise KeysUnusable."""

    def read(self) -> KeyFile | None:
        """None when there are none yet."""

    def write(self, keys: KeyFile) -> None:
        """Replaces them; durable on return."""


@dataclass(frozen=True, slots=True)
class KeptKeys:
    """The public keys of an issuer (a JWK set, RFC 7517) and when they were fetched, in seconds
    since the epoch."""

    jwks: bytes
    fetched_at: float


class KeySource(Protocol):
    """Where an issuer's public keys come from."""

    async def fetch(self) -> bytes:
        """A JWK set, unread. Raises SkerryError, OSError."""


class KeyShelf(Protocol):
    """Where they outlive the process. Both block."""

    def read(self) -> KeptKeys | None:
        """None when there are none that can be read."""

    def write(self, keys: KeptKeys) -> None:
        """Durable on return. Raises OSError."""
