"""Facts in, HTML out.

Owns the templates and what they are given. Knows no request and decides nothing; every value is
escaped by the template engine, since names of images and URLs are written by strangers.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from skerry.dashboard import words
from skerry.dashboard.costs import costs_of
from skerry.dashboard.facts import Facts, Visitor
from skerry.dashboard.overview import look

HERE = Path(__file__).parent
ROWS_MAX = 200


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

    async def images(self, visitor: Visitor, wanted: str) -> str:
        """Images that hold a text in their name."""
        rows = [row for row in await self._facts.images() if wanted.lower() in row.reference]
        return self.render(
            "images", visitor, rows=rows[:ROWS_MAX], more=len(rows) - ROWS_MAX, wanted=wanted
        )

    async def image(self, visitor: Visitor, reference: str) -> str | None:
        """One image; None when it is not here."""
        rows = [row for row in await self._facts.images() if row.reference == reference]
        if not rows:
            return None
        events = [each for each in await self._facts.events() if reference in each.subject]
        verified = await self._facts.verified(reference) if rows[0].whole else None
        return self.render("image", visitor, row=rows[0], events=events[:20], verified=verified)

    async def objects(self, visitor: Visitor, wanted: str) -> str:
        """What the edge has stored."""
        rows = await self._facts.objects(wanted, ROWS_MAX)
        return self.render("objects", visitor, rows=rows, wanted=wanted, rows_max=ROWS_MAX)

    async def upstreams(self, visitor: Visitor) -> str:
        """Upstreams and sites, and how their sources are."""
        return self.render("upstreams", visitor, status=await self._facts.status())

    async def fills(self, visitor: Visitor) -> str:
        """What is on its way in."""
        return self.render("fills", visitor, rows=self._facts.fills())

    async def fills_live(self) -> str:
        """The changing part of it."""
        return self.render("fills_live", None, rows=self._facts.fills())

    async def events(self, visitor: Visitor, kind: str) -> str:
        """What happened, of one kind if given."""
        every = await self._facts.events()
        kinds = sorted({each.kind for each in every})
        rows = [each for each in every if not kind or each.kind == kind]
        return self.render("events", visitor, rows=rows[:ROWS_MAX], kinds=kinds, kind=kind)

    async def incidents(self, visitor: Visitor) -> str:
        """What was lost, and how long it took."""
        return self.render("incidents", visitor, rows=await self._facts.incidents())

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
