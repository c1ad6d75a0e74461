"""Who may use the admin door.

Owns the token file and the two checks each request passes: the host it was sent to, so that a
web page cannot reach the door by pointing its own name at loopback (DNS rebinding), and the
bearer token (RFC 6750 section 2.1).
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import pwd
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from skerry.app.secret_files import make_once
from skerry.base.errors import Party, SkerryError
from skerry.wire.message import Request

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


class Access:
    """The two checks. Holds the token, never shows it."""

    def __init__(self, token: str, *, hosts: Iterable[str] = ()) -> None:
        self._token = token.encode()
        self._hosts = frozenset(host.lower() for host in hosts) | {"localhost"}

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

    def token_right(self, request: Request) -> bool:
        """Whether the request carries the token; takes as long for a wrong one."""
        scheme, _, given = (request.headers.get("Authorization") or "").partition(" ")
        return self.is_token(given.strip()) and scheme.lower() == "bearer"

    def is_token(self, given: str) -> bool:
        """Whether this is the token; takes as long for a wrong one."""
        return hmac.compare_digest(given.encode(), self._token)
