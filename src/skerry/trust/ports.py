"""What the trust of a node remembers.

Owns the Protocol of the book of verdicts. An admitted digest stays admitted under the policy that
admitted it: a certificate that expires in an outage must not take away what was there (requirements
section 7, decision 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError

if TYPE_CHECKING:
    from skerry.trust.core.names.values import Ask, Message


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


class PinsUnusable(SkerryError):
    """What is remembered of names cannot be read or written."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class NamePin:
    """Where a host was when that was last believed.

    Attributes:
        name: in lower case, without the final dot.
        addresses: of both families, in the order in which they came.
        at: seconds since the epoch.
        secure: whether signatures proved it (RFC 4033 section 5).
        signed_until: when the first of those ends, in seconds since the epoch; None without.
    """

    name: str
    addresses: tuple[str, ...]
    at: float
    secure: bool = False
    signed_until: float | None = None


@dataclass(frozen=True, slots=True)
class NameHold:
    """A name, and all below it, of which nothing new is believed.

    Attributes:
        name: in lower case, without the final dot.
        reason: for people, one sentence.
        at: seconds since the epoch.
    """

    name: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class PinsState:
    """All that is remembered of names; one value, written whole."""

    pins: tuple[NamePin, ...] = ()
    holds: tuple[NameHold, ...] = ()


class PinBook(Protocol):
    """Where that is kept. Raises PinsUnusable."""

    def load(self) -> PinsState:
        """What was saved last; nothing when nothing ever was."""

    async def save(self, state: PinsState) -> None:
        """Durable on return, whole or not at all; the last call wins."""


class NamePins(Protocol):
    """Last known good addresses of the names that this node cannot do without.

    A name is a host or a domain, with or without its final dot. A hold is of a name and of all
    that is below it.
    """

    def pin(self, name: str) -> NamePin | None:
        """Where a host was when that was last believed."""

    def hold_of(self, name: str) -> NameHold | None:
        """The hold on a name or on one above it; None when new answers are believed."""

    def state(self) -> PinsState:
        """All pins and holds."""

    async def keep(self, pin: NamePin) -> None:
        """Remembers where a host is; nothing happens while it is held. Raises PinsUnusable."""

    async def hold(self, name: str, reason: str) -> None:
        """Believes no new answer for a name from now on, and says so in an event.

        Holds in memory even when writing it down fails. Raises PinsUnusable, BadInput.
        """

    async def release(self, name: str) -> None:
        """Believes what is said of a name again. Raises PinsUnusable."""


class NoAnswer(SkerryError):
    """No name server answered a question, or none with an answer.

    Attributes:
        failed: a server answered that it cannot (SERVFAIL, REFUSED); False when none did in time.
    """

    party = Party.UPSTREAM

    def __init__(self, what: str, *, failed: bool = False) -> None:
        super().__init__(what)
        self.failed = failed


class NameServers(Protocol):
    """Whoever answers questions: forwarders, asked in the order that serves best."""

    async def ask(self, ask: Ask, *, signatures: bool, within_seconds: float) -> Message:
        """An answer with rcode NOERROR or NXDOMAIN, to just this question.

        With `signatures` they are wanted, and no checking by the server (DO and CD bits).
        Raises NoAnswer.
        """

    def names(self) -> tuple[str, ...]:
        """What messages call the servers."""
