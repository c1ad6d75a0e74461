"""Whose keys count for policies, as a root says it.

Owns the member `x-skerry` of a root: the owners with their keys, and for each named policy the
least that its nodes must ask. A node's settings may ask more, never less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509

from skerry.base.errors import BadInput
from skerry.trust.core.keys import parse_public_key, public_key
from skerry.trust.core.policies import Rule
from skerry.trust.core.threshold import OWNERS_MAX, BadPolicy, Policy, TrustedKey, policy

KEYS_MAX = 256
POLICIES_MAX = 64
NAME_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that a policy of this name must ask.

    Attributes:
        owners: whose keys count for it; () for everybody's.
    """

    threshold: int = 1
    required: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RootOwners:
    """What a root says of those who sign images."""

    keys: tuple[TrustedKey, ...] = ()
    authorities: tuple[x509.Certificate, ...] = ()
    floors: Mapping[str, Floor] = field(default_factory=dict)


def read_owners(section: object) -> RootOwners:
    """The section as values; nothing where a root has none. Raises BadInput."""
    if section is None:
        return RootOwners()
    document = _members(section, "owners", "policies", of="x-skerry")
    owners = _members(document.get("owners", {}), of="owners")
    pairs: list[tuple[TrustedKey, x509.Certificate | None]] = []
    for owner, listed in owners.items():
        if not owner.strip() or len(owner) > NAME_CHARS_MAX or not isinstance(listed, list):
            raise BadInput(f"the owner {owner[:NAME_CHARS_MAX]!r} has no list of keys")
        pairs += [_key(owner, each) for each in listed]
    if len(pairs) > KEYS_MAX or len(owners) > OWNERS_MAX:
        raise BadInput(f"more than {KEYS_MAX} keys or {OWNERS_MAX} owners")
    seen: set[tuple[str, bool]] = set()
    for each, _ in pairs:
        if (one := (each.key.fingerprint, each.authority)) in seen:
            raise BadInput(f"the key {each.key} stands there twice")
        seen.add(one)
    floors = _members(document.get("policies", {}), of="policies")
    if len(floors) > POLICIES_MAX:
        raise BadInput(f"more than {POLICIES_MAX} policies")
    return RootOwners(
        tuple(key for key, _ in pairs),
        tuple(certificate for _, certificate in pairs if certificate is not None),
        {name: _floor(name, each, owners.keys()) for name, each in floors.items()},
    )


def rule_under(owners: RootOwners, rule: Rule) -> tuple[Rule, str]:
    """A rule of the settings with the root's keys, and never less than its floor; and why nobody
    can meet it, "" when somebody can.

    One that nobody can meet opens nothing: a revocation is not undone for want of others.
    """
    asked = rule.policy
    floor = owners.floors.get(asked.name, Floor())
    keys = tuple(k for k in owners.keys if not floor.owners or k.owner in floor.owners)
    threshold = max(asked.threshold, floor.threshold)
    required = asked.required | floor.required
    trouble = ""
    try:
        made = policy(
            asked.name,
            threshold=threshold,
            keys=keys,
            required=required,
            formats=asked.formats,
            critical=asked.critical,
        )
    except BadPolicy as error:
        trouble = error.what
        made = Policy(asked.name, max(1, threshold), keys, required, asked.formats, asked.critical)
    vouching = {each.key.fingerprint for each in keys if each.authority}
    certificates = tuple(
        each for each in owners.authorities if public_key(each.public_key()).fingerprint in vouching
    )
    return Rule(rule.patterns, made, certificates, rule.downgrades), trouble


def time_of(text: object) -> float | None:
    """Seconds since the epoch of a day or a time, in UTC if nothing else is said; None for "".

    Raises BadInput.
    """
    if text in ("", None):
        return None
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        step = "write a day as 2027-01-31, or a time as 2027-01-31T12:00:00Z"
        raise BadInput(f"{str(text)[:40]!r} is no time", next_step=step) from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _key(owner: str, listed: object) -> tuple[TrustedKey, x509.Certificate | None]:
    document = _members(listed, "pem", "authority", "expires", "revoked", of=f"a key of {owner}")
    pem = str(document.get("pem", "")).encode()
    authority, revoked = document.get("authority", False), document.get("revoked", False)
    if not isinstance(authority, bool) or not isinstance(revoked, bool):
        raise BadInput(f"a key of {owner} is neither so nor so", next_step="write true or false")
    certificate = None
    if authority:
        try:
            certificate = x509.load_pem_x509_certificate(pem)
        except ValueError as error:
            raise BadInput(f"an authority of {owner} is no certificate") from error
        native = public_key(certificate.public_key())
    else:
        native = parse_public_key(pem)
    expires = time_of(document.get("expires"))
    return TrustedKey(native, owner, authority, expires, revoked), certificate


def _floor(name: str, said: object, owners: Iterable[str]) -> Floor:
    of = f"the policy {name[:NAME_CHARS_MAX]}"
    document = _members(said, "threshold", "required", "owners", of=of)
    threshold = document.get("threshold", 1)
    if not isinstance(threshold, int) or isinstance(threshold, bool) or threshold < 1:
        raise BadInput(f"{of} has a threshold that lets everything through")
    found: list[frozenset[str]] = []
    for member in ("required", "owners"):
        listed = document.get(member, [])
        if not isinstance(listed, list) or not {str(each) for each in listed} <= set(owners):
            raise BadInput(f"{of} names {member} that have no keys here")
        found.append(frozenset(str(each) for each in listed))
    required, able = found
    if able and not required <= able:
        raise BadInput(f"{of} requires owners that do not count for it")
    return Floor(threshold, required, able)


def _members(value: object, *known: str, of: str) -> Mapping[str, object]:
    """Raises BadInput for what is no object, or says more than this version understands: what it
    says might matter."""
    if not isinstance(value, dict):
        raise BadInput(f"{of} is no object")
    if known and (more := set(value) - set(known)):
        raise BadInput(f"{of} has members that are not understood: {', '.join(sorted(more))[:80]}")
    return value
