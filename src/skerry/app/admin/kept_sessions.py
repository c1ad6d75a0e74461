"""The logins of the pages over a restart of the node.

Owns `sessions.kept` in the data directory (docs/internals/tokens.md): what is in it, when it is
written, and who of it is let in again. It holds hashes of sessions' secrets only: whoever reads it
is nobody. Sealed with the admin token: a file that is damaged, another node's or from before the
token was changed counts for nothing, and everybody logs in anew.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skerry.adapters.file_whole import LatestFile
from skerry.app.admin.access import ADMIN, Access
from skerry.app.admin.sessions import Asker, Kept
from skerry.base.clock import Clock
from skerry.telemetry.events import Events, Level
from skerry.trust.tokens.core.claims import Claims
from skerry.trust.tokens.core.rules import Kind
from skerry.trust.tokens.identities import ROBOT

if TYPE_CHECKING:
    from skerry.app.site import Site

SESSIONS_FILE = "sessions.kept"
FORM = b"sessions.kept 1"
FILE_BYTES_MAX = 4 << 20
KEEP_SECONDS = 30.0
"""How often last uses are written: a login that is used is this much older after a crash."""


class KeptSessions:
    """The file, and the sessions that it is about."""

    def __init__(
        self, access: Access, path: Path, *, now: Callable[[], float], events: Events
    ) -> None:
        """`now` is the high-water clock's: a clock that is set back ends no life later."""
        self._access = access
        self._path = path
        self._file = LatestFile(path)
        self._now = now
        self._events = events
        self._turn = asyncio.Lock()
        self._written = b""
        self._failing = False

    async def open(self) -> None:
        """Lets in again who still may. Whatever is wrong with the file, the node starts."""
        try:
            text = await asyncio.to_thread(_read, self._path)
            kept = self._opened(text) if text is not None else ()
        except (OSError, ValueError) as error:
            self._events.emit(
                "sessions.forgotten", SESSIONS_FILE,
                cause=f"it cannot be believed ({error or type(error).__name__})",
                next_step="log in to the pages again; nothing else is lost", level=Level.WARNING,
            )  # fmt: skip
            kept = ()
        self._access.sessions.restore(kept, self._asker, now=self._now())

    async def keep(self) -> None:
        """Writes who is logged in now; durable on return, so that who was logged out stays out.

        A disk that takes no writes loses the file instead: all are out after the next start.
        """
        async with self._turn:
            body = msgspec.json.encode(self._access.sessions.kept(self._proof, now=self._now()))
            if body == self._written:
                return
            # Not known until it is done: an asker who leaves leaves the thread at it.
            self._written = b""
            try:
                await asyncio.to_thread(self._file.replace, self._file.begin(), self._sealed(body))
            except OSError as error:
                await self._unwritten(error)
            else:
                self._written, self._failing = body, False

    async def run(self, clock: Clock) -> None:
        """Until it is cancelled."""
        while True:
            await clock.sleep(KEEP_SECONDS)
            await self.keep()

    async def _unwritten(self, error: OSError) -> None:
        step = "free the disk; until then all log in anew after a restart"
        try:
            await asyncio.to_thread(self._path.unlink, missing_ok=True)
        except OSError:
            step = f"free the disk, or delete {self._path}: who was logged out may get in again"
        if not self._failing:
            self._events.emit(
                "sessions.unkept", SESSIONS_FILE,
                cause=f"it cannot be written ({error.strerror})", next_step=step,
                level=Level.WARNING,
            )  # fmt: skip
        self._failing = True

    def _sealed(self, body: bytes) -> bytes:
        return b"%s %s\n%s" % (FORM, self._access.seal(FORM + body).encode(), body)

    def _opened(self, text: bytes) -> tuple[Kept, ...]:
        """Raises ValueError."""
        head, _, body = text.partition(b"\n")
        seal = head.removeprefix(FORM + b" ")
        if not hmac.compare_digest(seal, self._access.seal(FORM + body).encode()):
            raise ValueError("damaged, or from before the admin token was changed")
        return msgspec.json.decode(body, type=tuple[Kept, ...])

    def _proof(self, asker: Asker) -> str:
        """What must be the same for a login to hold: the password, where there is one."""
        known = self._access.known
        if asker.name == ADMIN.name or known is None or known.users is None:
            return ""
        return known.users.fingerprint(asker.name)

    def _asker(self, kept: Kept) -> Asker | None:
        """Somebody who was logged in, as they are now; None when they have to log in again."""
        if kept.name == ADMIN.name:
            return ADMIN
        known = self._access.known
        if known is None:
            return None
        kind = Kind.ROBOT if kept.name.startswith(ROBOT) else Kind.USER
        found = known.identities.again(kept.name, kind)
        if found is None:  # gone, or somebody whom only an issuer knows
            return None
        made = Claims("", found.name, "", kept.begun_at, 0.0, 0.0, "", "", found.groups)
        role = self._access.current_role(found.name, found.groups)
        if role is None or known.tokens.book.is_revoked(made):
            return None
        lesser = kept.role if role.includes(kept.role) else role
        asker = Asker(found.name, lesser, found.groups)
        return asker if self._proof(asker) == kept.proof else None


async def keep_sessions(node: Site, access: Access) -> None:
    """Joins them to a node that starts: logins from before hold, and are kept from now on."""
    path = node.settings.node.data_path / SESSIONS_FILE
    kept = KeptSessions(access, path, now=node.high_water.now, events=node.events)
    await kept.open()
    access.sessions.keep = kept.keep
    node.ends.push_async_callback(kept.keep)
    node.nursery.start(kept.run(node.clock), name="sessions")


def _read(path: Path) -> bytes | None:
    """None when there is none yet. Raises OSError; ValueError for a file that is no secret."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.geteuid():
            raise ValueError("others may read or write it")
        return file.read(FILE_BYTES_MAX)
