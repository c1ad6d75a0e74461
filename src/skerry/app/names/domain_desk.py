"""Watched domains for people: the admin door's routes and what they answer.

Owns their JSON. What has drifted is `trust.delegation_watch`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from skerry.app.admin.replies import Routes, json_answer, read_body
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:
    from skerry.trust.core.delegation import Delegation, Expected, Registration
    from skerry.trust.delegation_watch import DelegationWatch, DomainWatch


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One aspect that is not as it was signed. `holds`: nothing new is believed of names below."""

    aspect: str
    what: str
    holds: bool
    next_step: str


@dataclass(frozen=True, slots=True)
class DomainRow:
    """A watched domain. Times are seconds since the epoch; `seen` are records as text, None for
    what nobody could be asked about.

    Attributes:
        version: of the signed state in force, 0 without one.
        trouble: why a newer state is not taken, "" when it is.
        expires_at: when the registration ends, None when nobody said.
    """

    domain: str
    version: int
    trouble: str
    drifts: tuple[DriftRow, ...]
    ns: tuple[str, ...] | None
    own_ns: tuple[str, ...] | None
    ds: tuple[str, ...] | None
    caa: tuple[str, ...] | None
    status: tuple[str, ...] | None
    expires_at: float | None
    registered_at: float
    looked_at: float
    heard_at: float
    held: bool


@dataclass(frozen=True, slots=True)
class DomainList:
    """The answer of GET /api/v1/domains."""

    domains: tuple[DomainRow, ...]


class CheckRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/domains/check: one domain, or all."""

    domain: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The answer of GET /api/v1/domains/snapshot.

    Attributes:
        state: the unsigned document, for people to read and then to sign.
        unknown: what nobody could be asked about, and is therefore left out.
    """

    domain: str
    state: str
    unknown: tuple[str, ...]


class DomainDesk:
    """Answers for `/api/v1/domains`."""

    def __init__(self, watch: DelegationWatch | None, now: Callable[[], float]) -> None:
        """`watch` is None on a node that watches no domain."""
        self._watch = watch
        self._now = now

    @property
    def routes(self) -> Routes:
        return {
            "/api/v1/domains": {"GET": self._list},
            "/api/v1/domains/check": {"POST": self._check},
            "/api/v1/domains/snapshot": {"GET": self._snapshot},
        }

    async def _list(self, request: Request) -> Answer:
        rows = [_row(each) for each in self._watch.domains.values()] if self._watch else []
        return json_answer(DomainList(tuple(rows)))

    async def _check(self, request: Request) -> Answer:
        wanted = await read_body(request, CheckRequest)
        watch = self._watching()
        if wanted.domain and wanted.domain not in watch.domains:
            raise BadInput(
                f"{wanted.domain[:253]!r} is not watched", next_step="list it as a [[dns.watch]]"
            )
        chosen = [each for each in watch.domains.values() if wanted.domain in ("", each.domain)]
        for each in chosen:
            await watch.check(each)
        return json_answer(DomainList(tuple(map(_row, chosen))))

    async def _snapshot(self, request: Request) -> Answer:
        from skerry.trust.core.domain_state import is_domain, write_state

        domain = (request.query_value("domain") or "").lower().rstrip(".")
        if not is_domain(domain):
            raise BadInput("no domain is named", next_step="add ?domain=example.org")
        watch = self._watching()
        seen, registration = await watch.seen(domain)
        if seen.ns is None and seen.own_ns is None:
            raise SkerryError(
                f"no name server of {domain} or of its parent can be asked now",
                next_step="try again when the network is there",
                party=Party.UPSTREAM,
            )
        known = watch.domains.get(domain)
        version = (known.statistics().version if known else 0) + 1
        state = write_state(_expected(domain, version, seen, registration), made_at=self._now())
        return json_answer(Snapshot(domain, state.decode(), _unknown(seen, registration)))

    def _watching(self) -> DelegationWatch:
        if self._watch is None:
            raise SkerryError(
                "this node watches no domain",
                next_step="list one: [[dns.watch]] in docs/reference/settings.md",
                party=Party.OPERATOR,
            )
        return self._watch


def _expected(
    domain: str, version: int, seen: Delegation, registration: Registration | None
) -> Expected:
    from skerry.trust.core.delegation import Expected

    return Expected(
        domain=domain,
        version=version,
        ns=seen.ns or seen.own_ns or frozenset(),
        ds=seen.ds or frozenset(),
        caa=seen.caa or frozenset(),
        expires_at=registration.expires_at if registration else None,
        status=registration.status if registration else frozenset(),
    )


def _unknown(seen: Delegation, registration: Registration | None) -> tuple[str, ...]:
    heard = {
        "ns": seen.ns,
        "ds": seen.ds,
        "caa": seen.caa,
        "registrar": registration,
    }
    return tuple(name for name, value in heard.items() if value is None)


def _row(domain: DomainWatch) -> DomainRow:
    from skerry.trust.core.delegation import NEXT_STEPS

    now, expiry = domain.statistics(), domain.expiry()
    seen, registration = now.seen, now.registration
    return DomainRow(
        domain=now.domain,
        version=now.version,
        trouble=now.trouble,
        drifts=tuple(
            DriftRow(each.aspect, each.what, each.holds, NEXT_STEPS[each.aspect])
            for each in now.drifts
        ),
        ns=_sorted(seen.ns),
        own_ns=_sorted(seen.own_ns),
        ds=_sorted(seen.ds),
        caa=None if seen.caa is None else tuple(str(each) for each in sorted(seen.caa)),
        status=_sorted(registration.status if registration else None),
        expires_at=expiry.at if expiry else None,
        registered_at=domain.kept.registered_at,
        looked_at=now.looked_at,
        heard_at=now.heard_at,
        held=now.held,
    )


def _sorted(names: frozenset[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(sorted(names))
