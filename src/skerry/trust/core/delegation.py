"""Whether a domain is still delegated and held as its owner signed that it should be.

Owns the comparison, of values: what was signed, what is seen. What is not seen is not compared: an
authority that cannot be reached has changed nothing. RFC 1034 section 4.2.1 (delegation), RFC 4034
section 5 (DS), RFC 8659 (CAA), RFC 9083 section 5.3 and RFC 8056 (a registration's dates and
status). Never asks anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

TOLD_MAX = 8
"""So many of a set are named in a message."""


class Aspect(StrEnum):
    """What may differ. Bounded: a metric label."""

    STATE = "state"
    NS = "ns"
    DS = "ds"
    CAA = "caa"
    EXPIRY = "expiry"
    STATUS = "status"


@dataclass(frozen=True, slots=True, order=True)
class Caa:
    """One CAA record; the tag in lower case."""

    flags: int
    tag: str
    value: str

    def __str__(self) -> str:
        return f'{self.flags} {self.tag} "{self.value}"'


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registrar's RDAP service says.

    Attributes:
        expires_at: seconds since the epoch, None when it does not say.
        status: values of RFC 8056, in lower case.
    """

    expires_at: float | None
    status: frozenset[str]


@dataclass(frozen=True, slots=True)
class Delegation:
    """What the name servers say; None for what none of them could be asked.

    Attributes:
        ns: where the parent says that the zone is; in lower case, without the final dot.
        own_ns: where the zone says that it is.
        ds: as text, `tag algorithm type digest`, in lower case.
        caa: at the zone's apex.
    """

    ns: frozenset[str] | None = None
    own_ns: frozenset[str] | None = None
    ds: frozenset[str] | None = None
    caa: frozenset[Caa] | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What the owner of a domain signed. `expires_at` and `status` as in `Registration`."""

    domain: str
    version: int
    ns: frozenset[str]
    ds: frozenset[str]
    caa: frozenset[Caa]
    expires_at: float | None = None
    status: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Drift:
    """One aspect is not as it was signed.

    Attributes:
        what: one sentence; the same for as long as the same thing differs.
        holds: somebody else may be in control: nothing new is believed of names below.
    """

    aspect: Aspect
    what: str
    holds: bool = True


NEXT_STEPS: Mapping[Aspect, str] = MappingProxyType(
    {
        Aspect.STATE: "put the last signed state back, or sign a higher version: "
        "skerry domain snapshot, sign",
        Aspect.NS: "ask the registrar who changed the name servers; if it was you, sign the new "
        "state: skerry domain snapshot, sign",
        Aspect.DS: "compare the zone's keys with its operator; if they were rolled, sign the new "
        "state: skerry domain snapshot, sign",
        Aspect.CAA: "find out who may now have certificates for the domain, and look at the "
        "certificate transparency logs; if it was you, sign the new state",
        Aspect.EXPIRY: "renew the domain at its registrar; if its date was changed, ask who did",
        Aspect.STATUS: "log in at the registrar, over a way you trust, and ask what was done",
    }
)

FATAL_STATUS = frozenset(
    {
        "client hold", "inactive", "pending delete", "pending restore", "pending transfer",
        "redemption period", "server hold",
    }
)  # fmt: skip
"""A domain that is about to change hands or to vanish from the parent."""
LOCKS = frozenset(
    f"{who} {what} prohibited"
    for who in ("client", "server")
    for what in ("delete", "transfer", "update")
)
"""What keeps it where it is; the loss of one that was signed is the first step of a theft."""


def compare(
    expected: Expected,
    seen: Delegation,
    registration: Registration | None,
    *,
    now: float,
    near_seconds: float,
) -> tuple[Drift, ...]:
    """What differs, by aspect; one drift each. `now` in seconds since the epoch."""
    found = (
        _name_servers(expected, seen),
        _signers(expected, seen),
        _issuers(expected, seen),
        _expiry(expected, registration, now, near_seconds),
        _status(expected, registration),
    )
    return tuple(drift for drift in found if drift is not None)


def known(seen: Delegation, registration: Registration | None) -> frozenset[Aspect]:
    """The aspects that were heard of: of the others nothing can be said."""
    heard = {
        Aspect.NS: seen.ns is not None or seen.own_ns is not None,
        Aspect.DS: seen.ds is not None,
        Aspect.CAA: seen.caa is not None,
        Aspect.EXPIRY: registration is not None,
        Aspect.STATUS: registration is not None,
    }
    return frozenset(aspect for aspect, is_known in heard.items() if is_known)


def allowed(caa: Iterable[Caa], tag: str) -> frozenset[str] | None:
    """Who may issue by the records of a tag (`issue`, `issuewild`), as normal text; None for
    everybody (RFC 8659 sections 4.2 and 4.3)."""
    values = [each.value for each in caa if each.tag == tag]
    if not values:
        return None
    return frozenset(filter(None, (_issuer(value) for value in values)))


def loosened(before: frozenset[Caa], after: frozenset[Caa]) -> str:
    """Who may issue now and might not before, in words; "" for nobody."""
    for tag, kind in (("issue", "certificates"), ("issuewild", "wildcard certificates")):
        old, new = _effective(before, tag), _effective(after, tag)
        if old is None:
            continue
        if new is None:
            return f"every authority may issue {kind} now"
        more = sorted(each for each in new if not any(_covers(one, each) for one in old))
        if more:
            return f"{_list(more)} may issue {kind} now"
    return ""


def _name_servers(expected: Expected, seen: Delegation) -> Drift | None:
    told = [
        difference
        for who, names in (("the parent", seen.ns), ("the zone", seen.own_ns))
        if names is not None and (difference := _difference(who, expected.ns, names))
    ]
    return Drift(Aspect.NS, "; ".join(told)) if told else None


def _signers(expected: Expected, seen: Delegation) -> Drift | None:
    if seen.ds is None or seen.ds == expected.ds:
        return None
    if not seen.ds:
        return Drift(Aspect.DS, "the parent has no DS any more: nothing is signed")
    return Drift(Aspect.DS, _difference("the parent's DS", expected.ds, seen.ds))


def _issuers(expected: Expected, seen: Delegation) -> Drift | None:
    more = "" if seen.caa is None else loosened(expected.caa, seen.caa)
    return Drift(Aspect.CAA, more) if more else None


def _expiry(
    expected: Expected, registration: Registration | None, now: float, near_seconds: float
) -> Drift | None:
    at = None if registration is None else registration.expires_at
    if at is None:
        return None
    if expected.expires_at is not None and _day(at) < _day(expected.expires_at):
        what = f"its registration ends on {_day(at)}, not on {_day(expected.expires_at)} as signed"
        return Drift(Aspect.EXPIRY, what)
    if at - now < near_seconds:
        # Whoever forgets to pay has not been robbed: names are believed as ever.
        return Drift(Aspect.EXPIRY, f"its registration ends on {_day(at)}", holds=False)
    return None


def _status(expected: Expected, registration: Registration | None) -> Drift | None:
    if registration is None:
        return None
    fatal = sorted((registration.status & FATAL_STATUS) - expected.status)
    lost = sorted((expected.status & LOCKS) - registration.status)
    parts = ([f"it is in {_list(fatal)}"] if fatal else []) + (
        [f"it has lost {_list(lost)}"] if lost else []
    )
    return Drift(Aspect.STATUS, "; ".join(parts)) if parts else None


def _effective(caa: frozenset[Caa], tag: str) -> frozenset[str] | None:
    """`issuewild` stands for itself where there is one, else `issue` does for it."""
    found = allowed(caa, tag)
    return allowed(caa, "issue") if found is None and tag == "issuewild" else found


def _issuer(value: str) -> str:
    """`letsencrypt.org; a=b` as normal text; "" for nobody."""
    name, *parameters = (part.strip() for part in value.split(";"))
    if not name:
        return ""
    kept = sorted({part for part in parameters if part})
    return "; ".join([name.lower().rstrip("."), *kept])


def _covers(before: str, after: str) -> bool:
    """Whether what is allowed now was allowed before: the same authority, bound by as much."""
    (old, *old_bounds), (new, *new_bounds) = before.split("; "), after.split("; ")
    return old == new and set(old_bounds) <= set(new_bounds)


def _difference(who: str, expected: frozenset[str], names: frozenset[str]) -> str:
    parts = []
    if added := sorted(names - expected):
        parts.append(f"has {_list(added)} besides" if names > expected else f"has {_list(added)}")
    if gone := sorted(expected - names):
        parts.append(f"lacks {_list(gone)}")
    return f"{who} {' and '.join(parts)}" if parts else ""


def _list(names: list[str]) -> str:
    more = f" and {len(names) - TOLD_MAX} more" if len(names) > TOLD_MAX else ""
    return ", ".join(names[:TOLD_MAX]) + more


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
