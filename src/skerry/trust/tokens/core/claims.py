"""What a token says, and whether that holds now.

Owns the judgement of a token whose signature is known to be good: RFC 7519 section 4.1, RFC 8725
section 3. Never sees a signature or a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

from skerry.trust.tokens.core.rules import Role
from skerry.trust.tokens.core.scopes import Actions, read_access

LEEWAY_SECONDS = 30.0
TEXT_CHARS_MAX = 512
GROUPS_MAX = 64


class Flaw(StrEnum):
    """Why a token is not believed. Bounded: a metric's and a message's word."""

    MALFORMED = "is no token"
    ALGORITHM = "is signed in a way that this node never signs"
    KEY = "is signed with a key that this node does not have"
    SIGNATURE = "has a wrong signature"
    ISSUER = "was made by somebody else"
    AUDIENCE = "was made for another node or door"
    TYPE = "is a token of another kind"
    EXPIRED = "has expired"
    NOT_YET = "is not valid yet"
    REVOKED = "was revoked"


class TokenRefused(Exception):
    """A token is not believed. Never holds the token."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.value)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Claims:
    """A token's claims. Times are seconds since the epoch.

    Attributes:
        subject: whose it is; "" for a token of nobody in particular.
        key_id: the key it was signed with.
    """

    issuer: str
    subject: str
    audience: str
    issued_at: float
    not_before: float
    expires_at: float
    token_id: str
    key_id: str
    groups: tuple[str, ...] = ()
    access: Mapping[str, Actions] = field(default_factory=dict)
    role: Role | None = None


def read_claims(payload: Mapping[str, object], key_id: str) -> Claims:
    """The claims of a payload. Raises TokenRefused (MALFORMED) when one is missing or odd."""
    groups = payload.get("groups", [])
    if not isinstance(groups, list) or len(groups) > GROUPS_MAX:
        raise TokenRefused(Flaw.MALFORMED)
    role = payload.get("role")
    if role is not None and role not in tuple(Role):
        raise TokenRefused(Flaw.MALFORMED)
    return Claims(
        issuer=_text(payload, "iss"),
        subject=_text(payload, "sub"),
        audience=_text(payload, "aud"),
        issued_at=_time(payload, "iat"),
        not_before=_time(payload, "nbf"),
        expires_at=_time(payload, "exp"),
        token_id=_text(payload, "jti"),
        key_id=key_id,
        groups=tuple(str(each)[:TEXT_CHARS_MAX] for each in groups),
        access=read_access(payload.get("access")),
        role=None if role is None else Role(str(role)),
    )


def judge(
    claims: Claims, *, issuer: str, audience: str, now: float, leeway_seconds: float
) -> Flaw | None:
    """What is wrong with a token at a time, None when nothing is.

    `now` never goes back (`base.high_water`): what has expired stays so.
    """
    if claims.issuer != issuer:
        return Flaw.ISSUER
    if claims.audience != audience:
        return Flaw.AUDIENCE
    if now >= claims.expires_at + leeway_seconds:
        return Flaw.EXPIRED
    if now < claims.not_before - leeway_seconds:
        return Flaw.NOT_YET
    return None


def _text(payload: Mapping[str, object], name: str) -> str:
    # A list of audiences is good JWT and nothing that this node makes: refused, not searched.
    value = payload.get(name)
    if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX:
        raise TokenRefused(Flaw.MALFORMED)
    return value


def _time(payload: Mapping[str, object], name: str) -> float:
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TokenRefused(Flaw.MALFORMED)
    return float(value)
