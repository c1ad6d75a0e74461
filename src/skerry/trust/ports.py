"""What the trust of a node remembers.

Owns the Protocol of the book of verdicts. An admitted digest stays admitted under the policy that
admitted it: a certificate that expires in an outage must not take away what was there (requirements
section 7, decision 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError


class VerdictsUnusable(SkerryError):
    """The book cannot be read or takes no writes."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class Admitted:
    """A digest that a policy has accepted.

    Attributes:
        policy, version: which one, and in which version.
        signers: the owners that counted.
        at: seconds since the epoch.
    """

    policy: str
    version: str
    digest: Digest
    signers: tuple[str, ...]
    at: float


class VerdictBook(Protocol):
    """Admitted digests, and what tags have left. Writes are durable on return.

    Raises VerdictsUnusable.
    """

    def admitted(self, version: str, digest: Digest) -> Admitted | None:
        """What this version of a policy has accepted."""

    def ever_admitted(self, policy: str, digest: Digest) -> Admitted | None:
        """The latest acceptance by any version of a policy."""

    async def admit(self, verdict: Admitted) -> None:
        """Keeps an acceptance."""

    async def left(self, repository: str, tag: str, digest: Digest, at: float) -> None:
        """Keeps that a tag meant a digest and means another one now."""

    def has_left(self, repository: str, tag: str, digest: Digest) -> bool:
        """Whether a tag meant this once, before it meant something else."""
