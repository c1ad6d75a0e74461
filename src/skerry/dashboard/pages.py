"""Facts in, HTML out.

Owns the templates and what they are given. Knows no request and decides nothing; every value is
escaped by the template engine, since names of images and URLs are written by strangers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from skerry.base.errors import SkerryError
from skerry.dashboard import words
from skerry.dashboard.costs import costs_of
from skerry.dashboard.facts import Facts, Visitor
from skerry.dashboard.lists import (
    ROWS_MAX,
    SHOWN,
    cut,
    is_about,
    is_named,
    is_shown,
    link,
    number_of,
)
from skerry.dashboard.overview import look
from skerry.registry.operations import ImageRow
from skerry.store.departures import IMAGE, OBJECT

HERE = Path(__file__).parent
Asked = Callable[[str], str]
"""What the query of a request says, "" for nothing."""


class Pages:
    """Every page of one node."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for name in (
            "amount",
            "coded",
            "span",
            "moment",
            "machine_time",
            "share",
            "money",
            "ago",
            "per_cent",
            "fine_money",
        ):
            self._templates.filters[name] = getattr(words, name)
        self._templates.globals.update(link=link, shown_names=SHOWN)

    def render(self, page: str, visitor: Visitor | None, **values: object) -> str:
        """One page as HTML."""
        return self._templates.get_template(f"{page}.html").render(
            page=page, visitor=visitor, now=self._facts.now(), **values
        )

    async def overview(self, visitor: Visitor) -> str:
        """The first screen: what is wrong, what it costs, how long it holds."""
        return self.render("overview", visitor, seen=await look(self._facts))

    async def overview_live(self) -> str:
        """That part of the first screen that changes by itself."""
        return self.render("overview_live", None, seen=await look(self._facts))

    async def images(self, visitor: Visitor, asked: Asked) -> str:
        """Images that hold a text in their name, or that begin with a digest."""
        wanted, show = asked("q"), asked("show")
        show = show if show in SHOWN else ""
        rows = [
            row
            for row in await self._facts.images()
            if is_named(row, wanted) and is_shown(row, show)
        ]
        signed = self._facts.has_policies()
        if show == "unsigned":
            rows = [row for row in rows if await self._unsigned(row)] if signed else []
        seen = cut(rows, asked("page"))
        unsigned = {row.reference for row in seen.rows if signed and await self._unsigned(row)}
        here = {row.reference for row in rows}
        gone = self._facts.departed(wanted, IMAGE) if wanted and not show else ()
        return self.render(
            "images", visitor, cut=seen, wanted=wanted, show=show, unsigned=unsigned,
            signed=signed, fields={"q": wanted, "show": show},
            gone=[each for each in gone if each.name not in here],
        )  # fmt: skip

    async def _unsigned(self, row: ImageRow) -> bool:
        """Whether a policy asks for signatures that a whole image has not."""
        if not row.whole:
            return False
        try:
            verified = await self._facts.verified(row.reference)
        except SkerryError:
            return True  # it cannot be judged: it may not leave either
        return bool(verified.policy) and not verified.accepted

    async def image(self, visitor: Visitor, reference: str) -> str | None:
        """One image, or what became of it; None when nothing is known."""
        rows = [row for row in await self._facts.images() if row.reference == reference]
        gone = [each for each in self._facts.departed(reference, IMAGE) if each.name == reference]
        if not rows:
            if not gone or not reference:
                return None
            return self.render("gone", visitor, reference=reference, gone=gone)
        events = [each for each in await self._facts.events() if is_about(each, reference)]
        verified = await self._facts.verified(reference) if rows[0].whole else None
        return self.render(
            "image", visitor, row=rows[0], events=events[:20], verified=verified, gone=gone
        )

    async def objects(self, visitor: Visitor, asked: Asked) -> str:
        """What the edge has stored."""
        wanted, beyond = asked("q"), number_of(asked("beyond"))
        found = await self._facts.objects(wanted, ROWS_MAX, beyond)
        here = {row.url for row in found.rows}
        gone = self._facts.departed(wanted, OBJECT) if wanted and not beyond else ()
        return self.render(
            "objects", visitor, found=found, wanted=wanted, beyond=beyond,
            gone=[each for each in gone if each.name not in here],
        )  # fmt: skip

    async def upstreams(self, visitor: Visitor) -> str:
        """Upstreams and sites, how their sources are, and how much is answered from here."""
        money = await self._facts.money()
        return self.render(
            "upstreams", visitor, status=await self._facts.status(),
            answered=await self._facts.answered(), rung=money.rung if money else "",
        )  # fmt: skip

    async def upstreams_live(self) -> str:
        """The changing part of it."""
        return self.render("upstreams_live", None, status=await self._facts.status())

    async def fills(self, visitor: Visitor) -> str:
        """What is on its way in."""
        return self.render("fills", visitor, rows=self._facts.fills())

    async def fills_live(self) -> str:
        """The changing part of it."""
        return self.render("fills_live", None, rows=self._facts.fills())

    async def events(self, visitor: Visitor, asked: Asked) -> str:
        """What happened, of one kind and with a text if given."""
        every, kind, wanted = await self._facts.events(), asked("kind"), asked("q")
        rows = [e for e in every if (not kind or e.kind == kind) and is_about(e, wanted)]
        return self.render(
            "events", visitor, cut=cut(rows, asked("page")), kind=kind, wanted=wanted,
            kinds=sorted({each.kind for each in every}), fields={"q": wanted, "kind": kind},
        )  # fmt: skip

    async def incidents(self, visitor: Visitor) -> str:
        """What was lost, and how long it took."""
        return self.render("incidents", visitor, rows=(await self._facts.incidents())[:ROWS_MAX])

    async def incidents_live(self) -> str:
        """The changing part of it."""
        return self.render("incidents_live", None, rows=(await self._facts.incidents())[:ROWS_MAX])

    async def horizon(self, visitor: Visitor) -> str:
        """What ends one day."""
        return self.render("horizon", visitor, rows=self._facts.expiries()[:ROWS_MAX])

    async def costs(self, visitor: Visitor, month: str) -> str:
        """The ledger with plots, of a month or "" for the one that runs. Raises BadInput."""
        book = await self._facts.month(month)
        if book is None:
            return self.render("costs", visitor, book=None)
        money = await self._facts.money()
        return self.render("costs", visitor, **costs_of(book, money, self._facts.now()))

    async def settings(self, visitor: Visitor) -> str:
        """The configuration as running."""
        return self.render("settings", visitor, text=self._facts.settings())
