"""The people of an htpasswd file, bcrypt or argon2id (RFC 9106), and what requests show of
themselves: the Basic (RFC 7617) and Bearer (RFC 6750) fields.

Owns the check. Never reads a file, never logs or keeps a password: what was once proven is
remembered as a keyed hash only. Checks are slow on purpose; run them in a thread.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import bcrypt

from skerry.base.errors import BadInput, Party

PROVEN_MAX = 256
HEADER_CHARS_MAX = 4096
PASSWORD_BYTES_MAX = 72
"""bcrypt reads no further; neither does `htpasswd -B`."""

_NOBODY = b"$2b$10$rKPfFtvzxAs8Q1n9m4GF.uB4SoAxqOxqjNRzSNwO2Un9RH8/o6xsm"
_BCRYPT, _ARGON2 = ("$2a$", "$2b$", "$2y$"), "$argon2id$"
_NOBODYS = ("robot+", "@")
"""Robots' names and groups begin so: nobody may pass for one in a rule."""
_COST = slice(4, 6)
"""Where a bcrypt hash says how slow it is: `$2b$10$`."""


@dataclass(frozen=True, slots=True)
class UserStatistics:
    """A snapshot."""

    user_count: int
    proven_count: int
    refused_count: int


def parse_htpasswd(text: str) -> Mapping[str, bytes]:
    """Name -> hash. Raises BadInput with the line's number, never its content."""
    found: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, encoded = line.strip().partition(":")
        if not colon or not name or not encoded.startswith((*_BCRYPT, _ARGON2)):
            raise BadInput(
                f"line {number} of the users file is not `name:<bcrypt or argon2id hash>`",
                next_step="write it with `skerry users add NAME`",
                party=Party.OPERATOR,
            )
        if name.startswith(_NOBODYS):
            raise BadInput(
                f"the name in line {number} of the users file begins as no person's can",
                next_step="choose one that does not begin with `robot+` or `@`",
                party=Party.OPERATOR,
            )
        found[name] = encoded.encode("ascii", "replace")
    return found


def parse_basic(header: str | None) -> tuple[str, str] | None:
    """Name and password of an `Authorization: Basic` field, None for anything else."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "basic" or len(token) > HEADER_CHARS_MAX:
        return None
    try:
        text = base64.b64decode(token.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon else None


def parse_bearer(header: str | None) -> str | None:
    """The token of an `Authorization: Bearer` field (RFC 6750 section 2.1), None for else."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class Users:
    """The people of one users file. `key` is random per process."""

    def __init__(self, hashes: Mapping[str, bytes], *, key: bytes) -> None:
        self._key = key
        self._proven: OrderedDict[bytes, None] = OrderedDict()
        self._refused = 0
        self._take(hashes)

    def use(
        self, hashes: Mapping[str, bytes]
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Takes the people of a newer file from now on; the names that are added, that have
        another password, that are removed."""
        old = self._hashes
        self._take(hashes)
        return (
            tuple(sorted(hashes.keys() - old.keys())),
            tuple(sorted(name for name in hashes.keys() & old.keys() if hashes[name] != old[name])),
            tuple(sorted(old.keys() - hashes.keys())),
        )

    def _take(self, hashes: Mapping[str, bytes]) -> None:
        self._hashes = dict(hashes)
        # Checked for unknown names, as slow as the slowest known one: time tells no names.
        every = self._hashes.values()
        cost = max((each[_COST] for each in every if not _is_argon2(each)), default=_NOBODY[_COST])
        bcrypted = _NOBODY[: _COST.start] + cost + _NOBODY[_COST.stop :]
        self._nobody = next((each for each in every if _is_argon2(each)), bcrypted)

    def knows(self, name: str) -> bool:
        """Whether there is such a person."""
        return name in self._hashes

    def fingerprint(self, name: str) -> str:
        """Another one for another password, "" for nobody; tells nothing of it."""
        known = self._hashes.get(name)
        return hashlib.sha256(b"line:" + known).hexdigest() if known else ""

    def proven(self, name: str, password: str) -> bool:
        """Whether this pair was already proven: quick, may be asked on the event loop."""
        known = self._hashes.get(name)
        return known is not None and self._mark(name, password, known) in self._proven

    def check(self, name: str, password: str) -> bool:
        """Whether the password is right. Takes a tenth of a second; run it in a thread."""
        if self.proven(name, password):
            return True
        known = self._hashes.get(name)
        right = _matches(password.encode(), known or self._nobody)
        # Asked again: the person may have been removed while this was found out.
        if not right or known is None or self._hashes.get(name) != known:
            self._refused += 1
            return False
        self._proven[self._mark(name, password, known)] = None
        while len(self._proven) > PROVEN_MAX:
            self._proven.popitem(last=False)
        return True

    def statistics(self) -> UserStatistics:
        return UserStatistics(len(self._hashes), len(self._proven), self._refused)

    def _mark(self, name: str, password: str, known: bytes) -> bytes:
        text = f"{len(name)}:{name}{password}".encode()
        return hmac.digest(self._key, known + b"\n" + text, hashlib.sha256)


def _matches(secret: bytes, known: bytes) -> bool:
    if _is_argon2(known):
        return _matches_argon2(secret, known)
    try:
        return bcrypt.checkpw(secret[:PASSWORD_BYTES_MAX], known)
    except ValueError:  # a hash that only looks like one, or a NUL in the password
        return False


def _matches_argon2(secret: bytes, known: bytes) -> bool:
    # Late: most files have no such line.
    from argon2.exceptions import Argon2Error
    from argon2.low_level import Type, verify_secret

    try:
        return verify_secret(known, secret, Type.ID)
    except (Argon2Error, ValueError):  # wrong, or a hash that only looks like one
        return False


def _is_argon2(known: bytes) -> bool:
    return known.startswith(_ARGON2.encode())
