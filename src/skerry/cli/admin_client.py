"""Talking to a running node's admin door.

Owns where the node is, its token, and how a failed exchange is said. Standard library only, so
that a command starts fast.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from skerry.app.admin.access import TOKEN_FILE, read_token
from skerry.app.settings.addresses import split_address
from skerry.app.settings.load import load
from skerry.base.errors import BadInput, Party, SkerryError

CONNECT_SECONDS = 5.0
T = TypeVar("T")


class NodeUnreachable(SkerryError):
    """Nothing answers where the node should be, or what answers is not a node."""

    party = Party.OPERATOR


class NodeRefused(SkerryError):
    """The node answered with an error. `status` is the HTTP status, 0 in mid-stream."""

    def __init__(self, what: str, *, next_step: str, party: Party, status: int) -> None:
        super().__init__(what, next_step=next_step, party=party)
        self.status = status


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node's admin door and the right to use it."""

    url: str
    token: str = field(repr=False)
    token_from: str = "SKERRY_ADMIN_TOKEN"


def find_node(
    url: str | None, config: Path | None, data_dir: Path | None, env: Mapping[str, str]
) -> NodeAddress:
    """The node that is meant: --node, SKERRY_ADMIN, or the one the settings describe.

    The token is SKERRY_ADMIN_TOKEN, or read from the data directory; that one is this machine's
    and is not sent to another. Raises SettingsError, TokenError, BadInput.
    """
    named = url or env.get("SKERRY_ADMIN")
    token = env.get("SKERRY_ADMIN_TOKEN")
    if named and token:
        return NodeAddress(_door(named), token)
    overrides = {"node.data_dir": str(data_dir)} if data_dir else {}
    # A node goes on with the old pair when a certificate breaks, and has to be asked about it.
    settings = load(config, env, overrides, only="doors.admin")
    if not named:
        host, port = split_address(settings.doors.admin)
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        named = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    elif not _is_here(named):
        raise BadInput(
            f"{named} is another machine, and the token of this one is not for it",
            next_step="put that node's token into SKERRY_ADMIN_TOKEN",
        )
    if token:
        return NodeAddress(_door(named), token)
    data = settings.node.data_path
    return NodeAddress(_door(named), read_token(data), str(data / TOKEN_FILE))


class AdminClient:
    """One node's API."""

    def __init__(self, node: NodeAddress) -> None:
        self._node = node

    def get(self, path: str, kind: type[T]) -> T:
        """The answer of a GET. Raises NodeUnreachable, NodeRefused."""
        return self._ask("GET", path, None, kind)

    def text(self, path: str) -> str:
        """The answer of a GET that is no JSON. Raises as `get`."""
        with self._exchange("GET", path, None) as response:
            try:
                return response.read().decode()
            except (http.client.HTTPException, OSError, UnicodeDecodeError) as error:
                raise self._unreachable(f"its answer cannot be read ({error})") from error

    def post(self, path: str, body: Mapping[str, object], kind: type[T]) -> T:
        """The answer of a POST, however long it takes."""
        return self._ask("POST", path, body, kind)

    def delete(self, path: str, reference: str, kind: type[T]) -> T:
        """The answer of a DELETE of one image or pin."""
        return self.delete_at(about(path, reference), kind)

    def delete_at(self, path: str, kind: type[T]) -> T:
        """The answer of a DELETE of what a path names."""
        return self._ask("DELETE", path, None, kind)

    def stream(self, path: str, body: Mapping[str, object], kind: type[T]) -> Iterator[T]:
        """The lines of a streamed answer, as they come. Raises as `get`, also during iteration."""
        ended = f"the answer of the node at {self._node.url} broke off"
        with self._exchange("POST", path, body) as response:
            try:
                for line in response:
                    if line.startswith(b'{"error"'):
                        raise _refusal(0, line)
                    if line.strip():
                        yield msgspec.json.decode(line, type=kind)
            except (http.client.HTTPException, OSError) as error:
                step = "see skerry status and the node's log, then repeat the command"
                raise NodeRefused(ended, next_step=step, party=Party.NODE, status=0) from error

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None, kind: type[T]) -> T:
        with self._exchange(method, path, body) as response:
            try:
                return msgspec.json.decode(response.read(), type=kind)
            except (http.client.HTTPException, OSError, msgspec.DecodeError) as error:
                raise self._unreachable(f"its answer cannot be read ({error})") from error

    @contextmanager
    def _exchange(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self._node.url)
        https = parts.scheme == "https"
        kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS)
        headers = {"Authorization": f"Bearer {self._node.token}", "Accept": "application/json"}
        try:
            try:
                connection.connect()
                # Connected: an export or a scrub may take as long as it takes.
                connection.sock.settimeout(None)
                data = json.dumps(body).encode() if body is not None else None
                connection.request(method, path, data, headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(_reason(error)) from error
            if response.status == 401:
                raise self._not_let_in()
            if response.status != 200:
                raise _refusal(response.status, response.read(1 << 20))
            yield response
        finally:
            connection.close()

    def _not_let_in(self) -> NodeRefused:
        """The node's own words are for programs: they name the field of a request."""
        return NodeRefused(
            f"the node at {self._node.url} does not take the token from {self._node.token_from}",
            next_step="take the one in admin.token of that node's data directory: name its"
            " --data-dir or --config, and unset SKERRY_ADMIN_TOKEN or set it right",
            party=Party.CLIENT,
            status=401,
        )

    def _unreachable(self, reason: str) -> NodeUnreachable:
        return NodeUnreachable(
            f"no node answers at {self._node.url}: {reason}",
            next_step="start one with `skerry up`, or say where it is with --node or SKERRY_ADMIN",
        )


def about(path: str, reference: str) -> str:
    """A path that asks about one image."""
    return f"{path}?reference={quote(reference, safe='')}"


def _refusal(status: int, body: bytes) -> SkerryError:
    try:
        error = msgspec.json.decode(body, type=dict[str, dict[str, str]])["error"]
        party = Party(error.get("party", "node"))
        what, step = error["what"], error.get("next_step", "")
    except (msgspec.DecodeError, KeyError, ValueError):
        return NodeUnreachable(
            f"what answers there is not a node's admin door (HTTP {status})",
            next_step="say where it is with --node or SKERRY_ADMIN",
        )
    return NodeRefused(what, next_step=step, party=party, status=status)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _door(url: str) -> str:
    """`host:port` and URLs alike, as a URL. Raises BadInput."""
    whole = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(whole)
        right = parts.scheme in ("http", "https") and bool(parts.hostname)
        right = right and parts.path in ("", "/") and not parts.username and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise BadInput(
            f"{url!r} is not where an admin door can be",
            next_step="write http://127.0.0.1:9090 or the like",
        )
    return whole.removesuffix("/")


def _is_here(url: str) -> bool:
    host = urlsplit(_door(url)).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
