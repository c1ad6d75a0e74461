"""How a client's configuration and a file that is there already become one.

Owns the judgement: text in, text out. What others wrote is kept as it is; a file that cannot be
read as its format is never touched, and a result that does not parse to what was meant is an
error, not a file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping

from skerry.app.clients.configuration import BEGIN, END, ClientFile, Style, docker_entries
from skerry.base.errors import Party, SkerryError

_BLOCK = re.compile(rf"^{re.escape(BEGIN)}\n.*?^{re.escape(END)}\n?", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


class Untouchable(SkerryError):
    """A client's file that must not be changed by a program."""

    party = Party.OPERATOR


def merged(file: ClientFile, present: str | None) -> str:
    """What the file should say; equal to `present` when nothing is to be done.

    `present` is None when there is no file. Raises Untouchable.
    """
    if file.style is Style.DOCKER_JSON:
        return _docker(file, present or "", add=True)
    theirs = _theirs(file, present or "")
    if not theirs.strip():
        return file.text
    if file.style is Style.TOML_OWN:
        raise Untouchable(
            f"/{file.path} has lines that are not ours",
            next_step="move them to a file of their own beside it, then repeat",
        )
    return _hosts(file, present or "", theirs)


def without(file: ClientFile, present: str) -> str | None:
    """The file without what is ours; None when nothing is left of it. Raises Untouchable."""
    if file.style is Style.DOCKER_JSON:
        rest = _docker(file, present, add=False)
        return rest if rest.strip() and _json(file, rest) else None
    theirs = _theirs(file, present)
    return theirs if theirs.strip() else None


def _theirs(file: ClientFile, present: str) -> str:
    _toml(file, present)
    return _BLOCK.sub("", present)


def _hosts(file: ClientFile, present: str, theirs: str) -> str:
    """A hosts.toml of others, with our host first in it: hosts are tried in order."""
    known = _toml(file, theirs)
    hosts = known.get("host", {})
    if isinstance(hosts, Mapping) and file.node.url in hosts:
        return present  # somebody wrote it by hand, and may have had reasons
    block = file.host_block if "server" in known else file.text
    table = _TABLE.search(theirs)
    place = table.start() if table else len(theirs)
    head = theirs[:place]
    result = head + ("\n" if head and not head.endswith("\n") else "") + block + theirs[place:]
    found = _toml(file, result)
    kept = {name: value for name, value in found.items() if name in known and name != "host"}
    if kept != {k: v for k, v in known.items() if k != "host"} or not _has_host(file, found, hosts):
        raise Untouchable(
            f"/{file.path} cannot be added to safely",
            next_step="add the host by hand; skerry clients containerd prints it",
        )
    return result


def _has_host(file: ClientFile, found: Mapping[str, object], before: object) -> bool:
    hosts = found.get("host")
    if not isinstance(hosts, Mapping) or not isinstance(before, Mapping):
        return False
    rest = {url: table for url, table in hosts.items() if url != file.node.url}
    return file.node.url in hosts and rest == dict(before)


def _toml(file: ClientFile, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(file, f"not TOML: {error}") from error


def _json(file: ClientFile, text: str) -> dict[str, object]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise _unreadable(file, f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise _unreadable(file, "not a JSON object")
    return found


def _docker(file: ClientFile, present: str, *, add: bool) -> str:
    document = _json(file, present)
    before = json.dumps(document)
    for key, ours in docker_entries(file.node).items():
        there = document.get(key, [])
        if not isinstance(there, list):
            raise _unreadable(file, f"{key} is not a list")
        if add:
            document[key] = [*(entry for entry in ours if entry not in there), *there]
        elif rest := [entry for entry in there if entry not in ours]:
            document[key] = rest
        else:
            document.pop(key, None)
    if json.dumps(document) == before and present.strip():
        return present
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _unreadable(file: ClientFile, reason: str) -> Untouchable:
    return Untouchable(
        f"/{file.path} is left alone: {reason}", next_step="mend it by hand, then repeat"
    )
