"""The users file, read again while the node runs.

Owns what a change means: who was removed, or has another password, has lost every session, every
refresh token and every token from before by the time the reload returns. Raises before anything has
changed when the file is not good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skerry.app.admin.sessions import Sessions
from skerry.app.settings.schema import Settings
from skerry.base.errors import BadInput, Party
from skerry.registry.core.users import parse_htpasswd
from skerry.telemetry.events import Events

if TYPE_CHECKING:
    from skerry.registry.access import Access

Hashes = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class PeopleChanged:
    """Names, by what became of them."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class People:
    """The people of a running node."""

    def __init__(self, known: Access | None, sessions: Sessions, events: Events) -> None:
        self._known = known
        self._sessions = sessions
        self._events = events

    async def read(self, settings: Settings) -> Hashes | None:
        """Who is in the file now; None on a node that began without one. Raises BadInput."""
        path = settings.registry.users_file
        if not path or self._known is None or self._known.users is None:
            return None
        return await asyncio.to_thread(_read, Path(path))

    async def use(self, hashes: Hashes | None) -> PeopleChanged:
        """Takes them. Raises TokensUnusable; then, too, nobody who was removed gets in again."""
        if hashes is None or self._known is None or self._known.users is None:
            return PeopleChanged()
        tokens = self._known.tokens
        added, changed, removed = self._known.users.use(hashes)
        self._known.identities.people_changed()
        out = frozenset((*changed, *removed))
        await self._sessions.end_all(lambda asker: asker.name in out)
        for name in sorted(out):
            await tokens.book.revoke_subject(name, at=tokens.now())
        told = PeopleChanged(added, changed, removed)
        if out or added:
            self._events.emit("users.changed", "users", cause=_said(told))
        return told


def _read(path: Path) -> Hashes:
    try:
        return parse_htpasswd(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"the users file {path} cannot be read ({type(error).__name__})",
            next_step="make it readable for the node, and reload; the people from before hold",
            party=Party.OPERATOR,
        ) from error


def _said(told: PeopleChanged) -> str:
    """How many: names of people have no place in a log."""
    return (
        f"{len(told.added)} added, {len(told.changed)} with another password,"
        f" {len(told.removed)} removed"
    )
