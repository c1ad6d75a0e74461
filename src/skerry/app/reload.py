"""New settings for a node that runs.

Owns what may change while it does (sites, routes, origins, certificates, people, prices) and the
telling of what may not. Reads the same file, environment and flags as at the start; settings that
are wrong change nothing. Ends no connection: requests under way finish as they began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from skerry.app.admin.replies import Routes, json_answer
from skerry.app.budget.prices import FIELD as PRICES
from skerry.app.budget.prices import NodePrices
from skerry.app.settings.schema import Settings
from skerry.app.trust.people import People
from skerry.app.wiring import edge_tls, registry_tls
from skerry.base.errors import Party, SkerryError
from skerry.telemetry.events import Events, Level
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:  # a node without sites does not load the edge
    from skerry.app.edge.sites import EdgeReload

Reread = Callable[[], Settings]
"""The settings as they are written now. Raises SettingsError."""


class ReloadRefused(SkerryError):
    """The settings are not taken, and nothing has changed."""

    party = Party.OPERATOR


class Reloaded(msgspec.Struct, frozen=True):
    """What a reload did.

    Attributes:
        restart: settings that were changed in the file and wait for a restart, dotted.
        root: the root of trust that was taken, "" when it is the same.
        root_refused: why a root file was not taken; the last good root goes on.
        users_added, users_changed, users_removed: of the users file; the last two have lost what
            they held.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    certificates: bool = False
    restart: tuple[str, ...] = ()
    root: str = ""
    root_refused: tuple[str, ...] = ()
    users_added: tuple[str, ...] = ()
    users_changed: tuple[str, ...] = ()
    users_removed: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()


class Reloading:
    """Reads the settings again when told to."""

    def __init__(
        self,
        settings: Settings,
        *,
        reread: Reread | None,
        edge: EdgeReload | None,
        certificates: Callable[[Settings], None],
        follow: Callable[[Settings], None],
        events: Events,
        roots: Callable[[], Awaitable[tuple[str, tuple[str, ...]]]] | None = None,
        people: People | None = None,
        prices: NodePrices | None = None,
    ) -> None:
        """`certificates` takes those of other settings, or raises and changes nothing; `roots`
        takes new roots of trust and says which, and what was refused; `follow` is told of
        settings that were taken."""
        self._settings = settings
        self._started = settings
        self._reread = reread
        self._edge = edge
        self._certificates = certificates
        self._follow = follow
        self._events = events
        self._roots = roots
        self._people = people
        self._prices = prices
        self._turn = asyncio.Lock()

    @property
    def settings(self) -> Settings:
        """What was read last and taken; some of it may wait for a restart."""
        return self._settings

    @property
    def routes(self) -> Routes:
        """What the admin door answers here."""
        return {"/api/v1/reload": {"POST": self._post}}

    async def reload(self) -> Reloaded:
        """Takes what is written now. Raises SettingsError, ReloadRefused, CertificateError."""
        async with self._turn:
            try:
                return await self._reload()
            except SkerryError as error:
                self._events.emit(
                    "settings.refused", "reload", cause=error.what,
                    next_step=error.next_step or "correct it and reload; the old settings hold",
                    level=Level.WARNING,
                )  # fmt: skip
                raise

    async def _reload(self) -> Reloaded:
        if self._reread is None:
            raise ReloadRefused("this node was started without a settings file to read again")
        new = await asyncio.to_thread(self._reread)
        old = self._settings
        # First what may still be refused.
        people = await self._people.read(new) if self._people is not None else None
        if self._edge is not None:
            self._edge.check(new)
        prices = await self._prices.check(new.budget) if self._prices is not None else None
        try:
            done, restart = self._doors_follow(old, new)
        except SkerryError:
            if self._prices is not None:
                await self._prices.give_back(prices)
            raise
        self._settings = new
        self._follow(new)
        if self._prices is not None:
            done = msgspec.structs.replace(done, prices=self._prices.use(prices))
        if self._people is not None:
            who = await self._people.use(people)
            done = msgspec.structs.replace(
                done, users_added=who.added, users_changed=who.changed, users_removed=who.removed
            )
        waiting = (*restart, *waits_for_restart(self._started, new))
        self._events.emit(
            "settings.reloaded",
            "reload",
            cause=_told(done),
            next_step=f"restart for {', '.join(waiting)}" if waiting else "",
        )
        root, refused = await self._roots() if self._roots is not None else ("", ())
        return msgspec.structs.replace(done, restart=waiting, root=root, root_refused=refused)

    def _doors_follow(self, old: Settings, new: Settings) -> tuple[Reloaded, tuple[str, ...]]:
        """Certificates and sites; and what of them waits for a restart. Raises
        CertificateError."""
        if new.sites and self._edge is None:
            # The edge's door was not opened at the start.
            return Reloaded(), ("site",)
        renewed = (registry_tls(old), edge_tls(old)) != (registry_tls(new), edge_tls(new))
        self._certificates(new)
        if self._edge is None:
            return Reloaded(certificates=renewed), ()
        told = self._edge.use(old, new)
        return Reloaded(told.added, told.changed, told.removed, renewed), ()

    async def _post(self, request: Request) -> Answer:
        return json_answer(await self.reload())


def waits_for_restart(started: Settings, new: Settings) -> tuple[str, ...]:
    """Dotted names of settings that differ from those the node runs with, and cannot follow."""
    found: list[str] = []
    for section in msgspec.structs.fields(Settings):
        before, after = getattr(started, section.name), getattr(new, section.name)
        if section.name == "sites" or before == after:
            continue
        if not isinstance(before, msgspec.Struct):
            found.append(section.encode_name)
            continue
        for field in msgspec.structs.fields(type(before)):
            named = f"{section.encode_name}.{field.encode_name}"
            values = getattr(before, field.name), getattr(after, field.name)
            # Another certificate is taken; to have one or none is another kind of door.
            another = named in ("doors.cert_file", "registry.users_file") and all(values)
            follows = named == "doors.key_file" or another or (named == PRICES and values[1])
            if values[0] != values[1] and not follows:
                found.append(named)
    return tuple(found)


def _counted(done: Reloaded) -> tuple[str, ...]:
    """How many people; their names have no place in a log."""
    found = (("added", done.users_added), ("changed", done.users_changed))
    every = (*found, ("removed", done.users_removed))
    return tuple(f"{len(names)} {what}" for what, names in every if names)


def _told(done: Reloaded) -> str:
    parts = [
        f"{what} {', '.join(names)}"
        for what, names in (
            ("added", done.added),
            ("changed", done.changed),
            ("removed", done.removed),
            ("users:", _counted(done)),
            ("prices:", done.prices),
        )
        if names
    ]
    return "; ".join(parts) or "nothing has changed"
