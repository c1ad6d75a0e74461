"""The node at one glance: what is wrong, what it costs, how long it can go on alone.

Owns the questions and what is made of the facts. The first page, `skerry top` and the API show
this one value.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from skerry.budget.core.periods import Every, period_of
from skerry.dashboard import words
from skerry.dashboard.facts import Facts, FillRow, Money
from skerry.dashboard.needs import needs
from skerry.registry.operations import Status, UpstreamStatus
from skerry.telemetry.events import Event
from skerry.telemetry.horizon import Expiry
from skerry.telemetry.ratios import HitRatio

FILLS_MAX = 5
HELD = "Not asked now"
"""The answer where a budget is at its last rung: what is known of upstreams is from before."""
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
class Overview:
    """What one look shows.

    Attributes:
        at: when, in seconds since the epoch.
        needs: what asks for somebody and is not over, the gravest first.
    """

    at: float
    status: Status
    tiles: tuple[Tile, ...]
    ratios: tuple[HitRatio, ...]
    needs: tuple[Event, ...]
    fills: tuple[FillRow, ...]


async def look(facts: Facts) -> Overview:
    """One look at a node."""
    status, money, now = await facts.status(), await facts.money(), facts.now()
    well, ill = _heard(status)
    asking = needs(await facts.events(), now, started_at=status.started_at, well=well, ill=ill)
    lost = {event.subject for event in asking if event.kind == "outage.began"}
    return Overview(
        at=now,
        status=status,
        tiles=(
            _upstream_tile(status, lost, held=money is not None and money.upstreams_held),
            _service_tile(facts.not_ready(), status.warnings),
            _alone_tile(facts.expiries(), now),
            _money_tile(money, now),
        ),
        ratios=tuple(facts.ratios()),
        needs=asking,
        fills=tuple(facts.fills()[:FILLS_MAX]),
    )


def _alone_tile(expiries: Sequence[Expiry], now: float) -> Tile:
    question = "How long can it go on alone?"
    if not expiries:
        return Tile(question, "Without an end", "good", ("Nothing here expires.",), "/horizon")
    first = expiries[0]
    left = first.at - now
    state = "good" if left > SOON_SECONDS else "warn" if left > 0 else "bad"
    said = words.span(left) if left > 0 else "It is over"
    detail = f"Then ends: {first.kind.replace('_', ' ')} {first.what}"
    return Tile(question, said, state, (detail, words.moment(first.at)), "/horizon")


def _upstream_tile(status: Status, outages: Set[str], *, held: bool) -> Tile:
    """`outages` are those on record that nothing has ended, by their subject: a node that is
    started anew while something is lost has asked nobody yet, and must not call itself connected.
    """
    question = "Is the upstream there?"
    if status.cut_off:
        said = "No registry can be reached. What is here goes on being served."
        return Tile(question, "No", "bad", (said,), "/upstreams")
    every = (*status.upstreams, *status.sites)
    lost = [f"{each.name} has trouble" for each in every if _in_trouble(each)]
    lost += [
        f"{each.name} was lost before the start, and has not answered since"
        for kind, group in (("upstream", status.upstreams), ("site", status.sites))
        for each in group
        if f"{kind} {each.name}" in outages
        and not _in_trouble(each)
        and not any(source.heard_at for source in each.sources)
    ]
    if lost:
        return Tile(question, "In part", "warn", tuple(lost[:4]), "/upstreams")
    if held:
        said = "The budget holds upstream work back, but for what is protected."
        return Tile(question, HELD, "none", (said,), "/costs")
    if not any(source.heard_at for each in every for source in each.sources):
        said = "None has been asked since the start."
        return Tile(question, "Not known yet", "none", (said,), "/upstreams")
    said = "Every one that was asked answers."
    return Tile(question, "Yes", "good", (said,), "/upstreams")


def _heard(status: Status) -> tuple[dict[str, float], set[str]]:
    """When what is not in trouble was heard last, and what is in trouble, as events call it."""
    named = [("upstream", each) for each in status.upstreams]
    named += [("site", each) for each in status.sites]
    ill = {f"{kind} {each.name}" for kind, each in named if _in_trouble(each)}
    heard = {
        f"{kind} {each.name}": max((source.heard_at for source in each.sources), default=0.0)
        for kind, each in named
    }
    return {what: at for what, at in heard.items() if what not in ill}, ill


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


def _money_tile(money: Money | None, now: float) -> Tile:
    question = "What does it cost?"
    if money is None:
        step = "Say what things cost: budget.prices_file in the settings."
        return Tile(question, "No prices set", "none", (step,), "/costs")
    low, likely, high = (words.money(each, money.currency) for each in money.forecast)
    details = [
        f"At the {'day' if len(money.period) > 7 else 'month'}'s end {likely} ({low} to {high})"
    ]
    state = "good"
    if money.budget_micro is not None:
        details.append(f"Budget {words.money(money.budget_micro, money.currency)}")
        state = "good" if money.forecast[1] <= money.budget_micro else "warn"
    if money.rung:
        ends = period_of(int(now), Every.DAY if len(money.period) > 7 else Every.MONTH).end
        details.append(f"Held back by the budget: {money.rung}")
        details.append(f"Until {words.moment(ends)}, or until budget.amount is raised")
        state = "bad"
    spent = words.money(money.spent_micro, money.currency)
    return Tile(question, f"{spent} so far", state, tuple(details), "/costs")
