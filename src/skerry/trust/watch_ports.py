"""What the watch over domains stands on.

Owns the Protocols and their errors: who is asked, and what is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError
from skerry.trust.core.delegation import Delegation, Drift, Registration


@dataclass(frozen=True, slots=True)
class Zone:
    """A domain, and where it is asked about.

    Attributes:
        parents, servers: of the parent and of the zone, as `ip` or `ip:port`; () to find them.
    """

    domain: str
    parents: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()


class Authorities(Protocol):
    """The name servers of domains and of their parents."""

    async def look(self, zone: Zone) -> Delegation:
        """What they say now, within some seconds.

        None for what none of them could be asked; an authority that answers that there is no such
        thing has answered. Never raises for want of an answer.
        """


class RegistrarUnavailable(SkerryError):
    """A registrar's service did not tell about a domain.

    Attributes:
        again_seconds: when it wants to be asked again; None when it did not say.
    """

    party = Party.UPSTREAM

    def __init__(self, what: str, *, again_seconds: float | None = None) -> None:
        super().__init__(what)
        self.again_seconds = again_seconds


class Registrars(Protocol):
    """RDAP (RFC 9082, RFC 9083)."""

    async def ask(self, domain: str) -> Registration:
        """What is known of a domain. Raises RegistrarUnavailable."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is remembered of one domain.

    Attributes:
        payload: the last state that was accepted, as it was signed; b"" before the first.
        digest: of that.
        drifts: what was told and is not over.
        registration: what the registrar said last, at `registered_at` (seconds since the epoch).
    """

    payload: bytes = b""
    digest: Digest | None = None
    drifts: tuple[Drift, ...] = ()
    registration: Registration | None = None
    registered_at: float = 0.0


class WatchUnusable(SkerryError):
    """What is remembered of domains cannot be read or written."""

    party = Party.OPERATOR


class WatchBook(Protocol):
    """Where that is kept, by domain. Raises WatchUnusable."""

    def load(self) -> Mapping[str, Kept]:
        """What was saved last."""

    async def save(self, kept: Mapping[str, Kept]) -> None:
        """Durable on return, whole or not at all; the last call wins."""
