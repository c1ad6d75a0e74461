"""What an operator can learn and do about names, and its routes at the admin door.

Owns the plain values of the answers. Decides nothing: what is believed is `trust.resolution`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from skerry.adapters.resolver import NameResolver
from skerry.app.admin.replies import Routes, json_answer, read_body
from skerry.base.errors import BadInput
from skerry.trust.core.pins import is_name
from skerry.trust.ports import NameHold, NamePin, NamePins
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:
    from skerry.trust.resolution import Given

RECORDS_MAX = 100
KINDS = ("A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV",
         "SVCB", "TXT")  # fmt: skip


class HoldRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/names/hold."""

    name: str
    reason: str = "an operator's wish"


class ReleaseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/names/release."""

    name: str


@dataclass(frozen=True, slots=True)
class NamesReport:
    """Names at one moment.

    Attributes:
        servers: who is asked; empty before the first question.
        checked: whether signatures are checked; None before the first question.
        pins: where the hosts of the settings were when that was last believed.
    """

    servers: tuple[str, ...]
    checked: bool | None
    holds: tuple[NameHold, ...]
    pins: tuple[NamePin, ...]


@dataclass(frozen=True, slots=True)
class NameBelief:
    """What is believed of one question, and why.

    Attributes:
        rcode: as DNS says it, e.g. NOERROR.
        verdict: secure, insecure, bogus or indeterminate; "" without any answer.
        why: what keeps it from being more, or what it is told with; "" for nothing.
        inside: an inside address that it leads to and may not; "" for none.
        held: why nothing new is believed of it; "" when it is.
        signed_until: seconds since the epoch; None without signatures.
    """

    name: str
    type: str
    rcode: str
    records: tuple[str, ...]
    verdict: str
    why: str
    stale: bool
    inside: str
    held: str
    ttl_seconds: float
    signed_until: float | None
    pinned: tuple[str, ...]


class NamesDesk:
    """Names for the admin door."""

    def __init__(self, names: NameResolver, pins: NamePins) -> None:
        self._names = names
        self._pins = pins

    @property
    def routes(self) -> Routes:
        """`/api/v1/names` and what is below it."""
        return {
            "/api/v1/names": {"GET": self._report},
            "/api/v1/names/look": {"GET": self._look},
            "/api/v1/names/hold": {"POST": self._hold},
            "/api/v1/names/release": {"POST": self._release},
        }

    async def _report(self, _: Request) -> Answer:
        return json_answer(self._reported())

    def _reported(self) -> NamesReport:
        loaded, state = self._names.lookup.loaded, self._pins.state()
        checked = loaded.validation.checks if loaded else None
        return NamesReport(self._names.lookup.asked(), checked, state.holds, state.pins)

    async def _look(self, request: Request) -> Answer:
        name = _name(request.query_value("name") or "")
        kind = (request.query_value("type") or "A").upper()
        if kind not in KINDS:
            raise BadInput("that is no type of records", next_step=f"ask for {', '.join(KINDS)}")
        resolution = await self._names.lookup.ready()
        # Late: dnspython.
        import dns.name

        from skerry.trust.core.names.values import Kind

        given = await resolution.resolve(dns.name.from_text(name), Kind.make(kind))
        return json_answer(self._believed(name, kind, given))

    def _believed(self, name: str, kind: str, given: Given) -> NameBelief:
        import dns.rcode

        answer = given.answer
        hold, pin = self._pins.hold_of(name), self._pins.pin(name)
        sets = answer.answer if answer else ()
        records = tuple(str(record) for each in sets for record in each)
        why = given.why or (answer.why if answer else None)
        return NameBelief(
            name=name,
            type=kind,
            rcode=dns.rcode.to_text(dns.rcode.Rcode.make(given.rcode)),
            records=records[:RECORDS_MAX],
            verdict=answer.security.value if answer else "",
            why=why.what if why else "",
            stale=given.stale,
            inside=given.inside,
            held=hold.reason if hold else "",
            ttl_seconds=given.ttl_seconds,
            signed_until=answer.signed_until if answer else None,
            pinned=pin.addresses if pin else (),
        )

    async def _hold(self, request: Request) -> Answer:
        wanted = await read_body(request, HoldRequest)
        await self._pins.hold(_name(wanted.name), wanted.reason)
        return json_answer(self._reported())

    async def _release(self, request: Request) -> Answer:
        wanted = await read_body(request, ReleaseRequest)
        await self._pins.release(_name(wanted.name))
        return json_answer(self._reported())


def _name(text: str) -> str:
    """Raises BadInput."""
    if not is_name(text):
        raise BadInput("that is no name", next_step="name a host or a domain, e.g. quay.io")
    return text.lower().removesuffix(".")
