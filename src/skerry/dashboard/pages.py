"""Facts in, HTML out.

Owns the templates and what they are given. Knows no request and decides nothing; every value is
escaped by the template engine, since names of images and URLs are written by strangers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from skerry.dashboard import words
from skerry.dashboard.facts import Facts, Money, Visitor
from skerry.registry.operations import Status, UpstreamStatus
from skerry.telemetry.events import Event, Level

HERE = Path(__file__).parent
NEEDS_SECONDS = 86_400.0
NEEDS_MAX = 12
ROWS_MAX = 200
SOON_SECONDS = 86_400.0
"""What ends within a day is worth a word."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One answer on the first screen.

    Attributes:
        state: `good`, `warn`, `bad` or `none`; said in words too, since colours are not for all.
    """

    question: str
    answer: str
    state: str
    details: tuple[str, ...] = ()
    link: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a plot; `share` is of the highest, 0 to 100."""

    label: str
    value: str
    share: float


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
        for name in ("amount", "span", "moment", "machine_time", "share", "money", "ago"):
            self._templates.filters[name] = getattr(words, name)

    def render(self, page: str, visitor: Visitor | None, **values: object) -> str:
        """One page as HTML."""
        return self._templates.get_template(f"{page}.html").render(
            page=page, visitor=visitor, now=self._facts.now(), **values
        )

    async def overview(self, visitor: Visitor) -> str:
        """The first screen: what is wrong, what it costs, how long it holds."""
        return self.render("overview", visitor, **await self._first_screen())

    async def overview_live(self) -> str:
        """That part of the first screen that changes by itself."""
        return self.render("overview_live", None, **await self._first_screen())

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

    async def costs(self, visitor: Visitor) -> str:
        """The ledger with plots."""
        money = self._facts.money()
        plots: dict[str, list[Bar]] = {}
        if money is not None:
            plots = {
                "By day": bars(money.days, money.currency),
                "By tenant": bars(money.by_tenant, money.currency),
                "By kind": bars(money.by_kind, money.currency),
            }
        return self.render("costs", visitor, money=money, plots=plots)

    async def settings(self, visitor: Visitor) -> str:
        """The configuration as running."""
        return self.render("settings", visitor, text=self._facts.settings())

    async def _first_screen(self) -> dict[str, object]:
        status = await self._facts.status()
        events = await self._facts.events()
        return {
            "status": status,
            "tiles": [
                _upstream_tile(status),
                _service_tile(self._facts.not_ready(), status.warnings),
                self._alone_tile(),
                _money_tile(self._facts.money()),
            ],
            "ratios": self._facts.ratios(),
            "needs": self._needs(events),
            "fills": self._facts.fills()[:5],
        }  # fmt: skip

    def _alone_tile(self) -> Tile:
        first = next(iter(self._facts.expiries()), None)
        question = "How long can it go on alone?"
        if first is None:
            return Tile(question, "Without an end", "good", ("Nothing here expires.",), "/horizon")
        left = first.at - self._facts.now()
        state = "good" if left > SOON_SECONDS else "warn" if left > 0 else "bad"
        said = words.span(left) if left > 0 else "It is over"
        detail = f"Then ends: {first.kind.replace('_', ' ')} {first.what}"
        return Tile(question, said, state, (detail, words.moment(first.at)), "/horizon")

    def _needs(self, events: object) -> list[Event]:
        """What asks for somebody, the newest of each kind and subject."""
        since = self._facts.now() - NEEDS_SECONDS
        found: dict[tuple[str, str], Event] = {}
        for event in events if isinstance(events, (list, tuple)) else ():
            if event.level is not Level.INFO and event.next_step and event.at >= since:
                found.setdefault((event.kind, event.subject), event)
        return list(found.values())[:NEEDS_MAX]


def bars(values: tuple[tuple[str, int], ...], currency: str) -> list[Bar]:
    """A plot of amounts in micro-units."""
    highest = max((abs(value) for _, value in values), default=0) or 1
    return [
        Bar(label, words.money(value, currency), 100 * abs(value) / highest)
        for label, value in values
    ]


def _upstream_tile(status: Status) -> Tile:
    question = "Is the upstream there?"
    if status.cut_off:
        said = "No registry can be reached. What is here goes on being served."
        return Tile(question, "No", "bad", (said,), "/upstreams")
    every = (*status.upstreams, *status.sites)
    lost = [f"{each.name} has trouble" for each in every if _in_trouble(each)]
    if lost:
        return Tile(question, "In part", "warn", tuple(lost[:4]), "/upstreams")
    if not any(source.heard_at for each in every for source in each.sources):
        said = "None has been asked since the start."
        return Tile(question, "Not known yet", "none", (said,), "/upstreams")
    said = "Every one that was asked answers."
    return Tile(question, "Yes", "good", (said,), "/upstreams")


def _in_trouble(upstream: UpstreamStatus) -> bool:
    """No source of it is well."""
    return all(each.trouble or each.breaker != "closed" for each in upstream.sources)


def _service_tile(not_ready: str, warnings: tuple[str, ...]) -> Tile:
    question = "Is local service good?"
    if not_ready:
        return Tile(question, "No", "bad", (not_ready,))
    if warnings:
        return Tile(question, "Yes, but", "warn", warnings[:4])
    return Tile(question, "Yes", "good", ("Everything that is here is served.",))


def _money_tile(money: Money | None) -> Tile:
    question = "What does it cost?"
    if money is None:
        step = "Say what things cost: budget.prices_file in the settings."
        return Tile(question, "No prices set", "none", (step,), "/costs")
    low, likely, high = (words.money(each, money.currency) for each in money.forecast)
    details = [f"At the month's end {likely} ({low} to {high})"]
    state = "good"
    if money.budget_micro is not None:
        details.append(f"Budget {words.money(money.budget_micro, money.currency)}")
        state = "good" if money.forecast[1] <= money.budget_micro else "warn"
    if money.rung:
        details.append(f"The budget has the node: {money.rung}")
        state = "bad"
    spent = words.money(money.spent_micro, money.currency)
    return Tile(question, f"{spent} so far", state, tuple(details), "/costs")
