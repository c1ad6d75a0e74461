"""The prices of a running node: a new sheet is taken at a reload, and what was told stays so.

Owns when a sheet is taken. One that would change what hours have cost is refused at a reload; a
start takes it, since a node serves whatever its sheet says, and tells of it. The text that was
taken last is kept with the ledger, so that a start knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from skerry.app.settings.budget import BudgetSettings
from skerry.app.settings.checks.budget import sheet_in, sheet_text
from skerry.base.errors import Party, SkerryError
from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.periods import HOUR_SECONDS, hour_of, iso
from skerry.budget.core.prices import BadPrices, PriceSheet, read_sheet
from skerry.budget.core.repricing import changes, rewritten
from skerry.budget.ports import LedgerUnusable
from skerry.telemetry.events import Events, Level

NOTE = "prices"
FIELD = "budget.prices_file"


class PricesRefused(SkerryError):
    """A sheet is good, and would say otherwise what was told."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class NewPrices:
    """A sheet that may be taken, as it is written, and what it changes."""

    sheet: PriceSheet
    text: str
    told: tuple[str, ...]


class NodePrices:
    """The sheet in use: `books` has it."""

    def __init__(
        self, books: Bookkeeping, text: str, *, events: Events, now: Callable[[], float]
    ) -> None:
        """`text` is the sheet that `books` began with."""
        self._books = books
        self._text = text
        self._events = events
        self._now = now

    async def check(self, budget: BudgetSettings) -> NewPrices | None:
        """The sheet that is written now, read once and kept with the ledger; None when it says
        what holds already. Raises BadPrices, PricesRefused, LedgerUnusable, and nothing has
        changed."""
        if not budget.prices_file:
            return None  # to have none waits for a restart
        try:
            text = await asyncio.to_thread(sheet_text, budget)
        except OSError as error:
            raise BadPrices(
                f"{budget.prices_file} cannot be read ({error.strerror})",
                next_step="check the file, and reload; the old prices hold",
            ) from error
        old, new = self._books.sheet, sheet_in(text, budget.prices_file)
        if new == old:
            return None
        # Of sheets with hundreds of prices this takes a quarter of a second.
        await asyncio.to_thread(self._refuse_another_past, old, new, budget.prices_file)
        # First the note: a node that dies now starts with this sheet, and it is no surprise.
        await self._books.ledger.keep(NOTE, text)
        return NewPrices(new, text, changes(old, new))

    async def give_back(self, new: NewPrices | None) -> None:
        """What was checked is not taken after all: the old sheet is still the one that tells."""
        if new is not None:
            with suppress(LedgerUnusable):  # then the next start finds nothing that it could tell
                await self._books.ledger.keep(NOTE, self._text)

    def use(self, new: NewPrices | None) -> tuple[str, ...]:
        """Takes it, from here on for every reader; what has changed, for people."""
        if new is None:
            return ()
        self._books.sheet, self._text = new.sheet, new.text
        told = "; ".join(new.told) or "they say the same in other words"
        self._events.emit("budget.prices_taken", "prices", cause=told)
        return new.told

    async def began(self) -> None:
        """Compares the sheet of this start with the one of the last life, and keeps it."""
        try:
            kept = self._books.ledger.noted(NOTE)
            if kept == self._text:
                return
            self._tell_another_past(kept)
            await self._books.ledger.keep(NOTE, self._text)
        except LedgerUnusable:
            return  # told by whoever writes to it; compared at the next start

    def _refuse_another_past(self, old: PriceSheet, new: PriceSheet, named: str) -> None:
        start, stop = self._books.ledger.span()
        if not old.prices or start >= stop:
            return  # nothing has had a price yet
        # The hour that runs has been told in part. The ledger may hold later ones, of a clock
        # that was ahead.
        stop = max(stop, hour_of(int(self._now())) + HOUR_SECONDS)
        if new.currency != old.currency:
            raise PricesRefused(
                f"{named} is in {new.currency}, and what things cost was told in {old.currency}",
                next_step=f"keep {old.currency}, or restart: all is then told in {new.currency}",
            )
        found = rewritten(old, new, start=start, stop=stop)
        if found is not None:
            raise PricesRefused(
                f"{named} says otherwise what was told: {found.sentence}",
                next_step=f"leave that price, and write the new one as another [[price]] with "
                f"valid_from = {iso(stop)} or later; to correct the past, restart the node",
            )

    def _tell_another_past(self, kept: str) -> None:
        """A start that prices rows otherwise than the life before says so. Raises
        LedgerUnusable."""
        try:
            old = read_sheet(kept, NOTE) if kept else PriceSheet()
        except BadPrices:
            return  # of another version of this program
        start, stop = self._books.ledger.span()
        new = self._books.sheet
        found = rewritten(old, new, start=start, stop=stop)
        if not old.prices or (found is None and new.currency in ("", old.currency)):
            return
        why = found.sentence if found else f"all is told in {new.currency}, not {old.currency}"
        self._events.emit(
            "budget.prices_rewritten",
            "prices",
            cause=f"the price sheet was changed while the node was down: {why}",
            next_step="costs of the past are told anew; compare with what you have exported, or "
            "put the old price back and restart",
            level=Level.WARNING,
        )
