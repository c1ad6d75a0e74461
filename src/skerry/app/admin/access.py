"""Who may use the admin door.

Owns the token file and the two checks each request passes: the host it was sent to, so that a
web page cannot reach the door by pointing its own name at loopback (DNS rebinding), and who asks:
the holder of the admin token (RFC 6750 section 2.1), of a token of this door, or of a session.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import pwd
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from skerry.app.admin.roles import Roles
from skerry.app.admin.sessions import Asker, Sessions
from skerry.app.trust.secret_files import make_once
from skerry.base.clock import SystemClock
from skerry.base.errors import Party, SkerryError
from skerry.registry.core.users import parse_bearer
from skerry.trust.tokens.core.claims import TokenRefused
from skerry.trust.tokens.core.rules import Role
from skerry.wire.message import Request

if TYPE_CHECKING:
    from skerry.registry.access import Access as Known

TOKEN_FILE = "admin.token"
TOKEN_BYTES_MAX = 4096


class TokenError(SkerryError):
    """The admin token cannot be read, or is not a secret any more."""

    party = Party.OPERATOR


def ensure_token(data_dir: Path) -> str:
    """The node's admin token; made at the first start, readable by its owner alone.

    Raises TokenError.
    """
    path = data_dir / TOKEN_FILE
    try:
        if path.exists():
            _refuse_another_owner(path)
        make_once(path, f"{secrets.token_urlsafe(32)}\n".encode())
        return read_token(data_dir)
    except OSError as error:
        raise TokenError(
            f"{path} cannot be made: {error.strerror}",
            next_step="let this user write to the data directory, or set node.data_dir",
        ) from error


def _refuse_another_owner(path: Path) -> None:
    owner, own = path.stat().st_uid, os.geteuid()
    if owner != own:
        raise TokenError(
            f"{path.parent} belongs to user {_name(owner)}, this node runs as {_name(own)}",
            next_step=f"run it as {_name(owner)}, or chown -R the folder, or set node.data_dir",
        )


def _name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)


def read_token(data_dir: Path) -> str:
    """The token that is there. Raises TokenError."""
    path = data_dir / TOKEN_FILE
    try:
        with path.open(encoding="ascii") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read(TOKEN_BYTES_MAX).strip()
    except FileNotFoundError as error:
        raise TokenError(
            f"no node has run here: {path} is not there",
            next_step="start one with `skerry up`, or name that node's --config or --data-dir",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise TokenError(
            f"{path} cannot be read: {reason}",
            next_step="run as the node's user, name its --data-dir, or set SKERRY_ADMIN_TOKEN",
        ) from error
    if mode & 0o077:
        raise TokenError(
            f"{path} can be read by other users, so the token in it is no secret",
            next_step="delete it and restart the node: it makes a new one",
        )
    if len(token) < 16:
        raise TokenError(
            f"{path} holds no token", next_step="delete it and restart the node: it makes one"
        )
    return token


ADMIN = Asker("the admin token", Role.ADMIN)
"""Who has the admin token; no identity's name has blanks."""


class Access:
    """The two checks. Holds the token, never shows it."""

    def __init__(
        self,
        token: str,
        *,
        hosts: Iterable[str] = (),
        sessions: Sessions | None = None,
        known: Known | None = None,
        roles: Roles | None = None,
    ) -> None:
        """`known` is who the node knows besides the token's holder."""
        self._token = token.encode()
        self._hosts = frozenset(host.lower() for host in hosts) | {"localhost"}
        self.sessions = sessions or Sessions(SystemClock())
        self.known = known
        self.roles = roles or Roles()

    def host_allowed(self, request: Request) -> bool:
        """Whether the request names this node: an IP address, localhost or a configured name.

        An address is safe, since the attack needs a name of the attacker's. HTTP/1.1 wants
        exactly one Host (RFC 9112 section 3.2).
        """
        values = request.headers.all("Host")
        if len(values) != 1:
            return False
        host = values[0].strip().lower()
        if host.startswith("["):
            host = host[1:].partition("]")[0]
        elif host.count(":") == 1:
            host = host.partition(":")[0]
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host.removesuffix(".") in self._hosts
        return True

    def asker(self, request: Request) -> tuple[Asker | None, str]:
        """Who asks, None for nobody or somebody without a role here; and what each unsafe request
        of theirs must repeat, "" where no browser sends by itself what proves them."""
        if request.headers.get("Authorization") is not None:
            return self.bearer(request), ""
        session = self.sessions.find(request)
        return (session.asker, session.csrf) if session is not None else (None, "")

    def bearer(self, request: Request) -> Asker | None:
        """Whose token a request carries."""
        given = parse_bearer(request.headers.get("Authorization"))
        if given is None:
            return None
        return ADMIN if self.is_token(given) else self._token_holder(given)

    def _token_holder(self, token: str) -> Asker | None:
        if self.known is None:
            return None
        tokens = self.known.tokens
        try:
            claims = tokens.verify(token, audience=tokens.admin_service)
        except TokenRefused:
            return None
        role = self.current_role(claims.subject, claims.groups)
        if claims.role is None or role is None:
            return None
        # Whoever has lost a role since has lost it: the lesser of then and now.
        lesser = claims.role if role.includes(claims.role) else role
        return Asker(claims.subject, lesser, claims.groups)

    def current_role(self, name: str, groups: tuple[str, ...]) -> Role | None:
        """The role that somebody has by the settings."""
        return ADMIN.role if name == ADMIN.name else self.roles.of(name, groups)

    def seal(self, data: bytes) -> str:
        """A mark that only the holder of the admin token makes (HMAC, RFC 2104)."""
        return hmac.digest(self._token, b"seal:" + data, hashlib.sha256).hex()

    def is_token(self, given: str) -> bool:
        """Whether this is the token; takes as long for a wrong one."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)
