"""The page of the ledger says what the ledger says: every day, every part, and where it ends."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from skerry.dashboard.facts import Money
from skerry.dashboard.plots import HEIGHT, TOP, climb_plot, days_plot
from tests.dashboard.scene import BOOK, NASTY, NOVEMBER, Scene, text_of


async def costs(scene: Scene, **query: str) -> str:
    return re.sub(r"\s+", " ", unescape(text_of(await scene.get("/costs", **query))))


def test_every_day_that_has_begun_is_there_and_the_days_add_up() -> None:
    days = dict(BOOK.days)
    assert [label[-2:] for label in days] == [f"{day:02d}" for day in range(1, 15)]
    assert days["2023-11-02"] == 1_500_000
    assert days["2023-11-05"] == 230_000
    assert days["2023-11-03"] == 0
    assert sum(days.values()) == BOOK.spent_micro == 1_730_000
    named = {name: [label for label, _ in parts] for name, parts in BOOK.cuts.items()}
    assert named == {
        "tenant": ["ann", NASTY], "site": ["shop", ""], "route": ["shop/sale", ""],
        "upstream": ["", "docker.io"], "workflow": ["checkout", ""],
        "data class": ["public", ""], "price": ["pulls", "ingress"],
    }  # fmt: skip
    for name, parts in BOOK.cuts.items():
        assert sum(micro for _, micro in parts) == BOOK.spent_micro, name


async def test_the_month_is_cut_by_whom_and_by_what() -> None:
    text = await costs(Scene())
    for said in (
        "By tenant", "By site", "By route", "By upstream", "By workflow", "By data class",
        "By price", "shop/sale", "checkout", "docker.io", NASTY, "1.73 EUR", "0.4325 EUR",
        "2023-11-03</th>",
    ):  # fmt: skip
        assert said in text, said
    assert "0.8650 EUR" in text, "1.73 EUR for two gigabytes that were saved"
    assert "4000 requests, hit ratio 75.0 %" in text


async def test_the_plot_says_in_words_what_it_draws() -> None:
    text = await costs(Scene())
    said = "1.73 EUR spent, at the end probably 2.50 EUR, between 2.00 EUR and 3.00 EUR"
    assert said in text
    assert "budget 2.00 EUR" in text
    for drawn in ('class="spent"', 'class="ahead"', 'class="band"', 'class="budget"'):
        assert drawn in text, drawn
    assert text.count('class="day"') == 14


async def test_a_month_that_is_over_has_no_forecast_and_leads_to_its_neighbours() -> None:
    scene = Scene()
    scene.facts.book = replace(
        BOOK, period="2023-09", start=NOVEMBER.start - 61 * 86400, end=NOVEMBER.start - 31 * 86400
    )
    text = await costs(scene, month="2023-09")
    assert "/costs?month=2023-08" in text
    assert "/costs?month=2023-10" in text
    assert 'class="ahead"' not in text
    assert "so far" not in text


async def test_what_is_no_month_is_said_to_be_none() -> None:
    answer = await Scene().get("/costs", month="yesterday")
    assert answer.status == 400
    assert "write it as 2026-01" in text_of(answer)


async def test_without_prices_it_says_how_to_set_them() -> None:
    scene = Scene()
    scene.facts.book = None
    assert "budget.prices_file" in await costs(scene)


async def test_a_budget_of_days_is_drawn_across_the_days() -> None:
    scene = Scene()
    scene.facts.costs = Money("EUR", 10, (10, 20, 30), 1_000_000, "", "2023-11-14")
    text = await costs(scene)
    assert "budget of a day 1.00 EUR" in text
    assert 'class="ahead"' not in text
    assert "At the day’s end" in text
    assert "At the day's end" in unescape(text_of(await scene.get("/")))


def test_the_highest_mark_reaches_the_top_and_nothing_is_higher() -> None:
    days = days_plot((("2023-11-01", 5), ("2023-11-02", 10)), "EUR", count=30, budget_micro=None)
    assert [mark.y for mark in days.marks] == [pytest.approx(119), TOP]
    climb = climb_plot(
        (("2023-11-01", 5),), "EUR", count=30, budget_micro=20, forecast=(10, 20, 40)
    )
    heights = [float(y) for y in re.findall(r",([\d.]+)", f"{climb.spent} {climb.band}")]
    assert min(heights) == TOP
    assert max(heights) <= HEIGHT
    assert climb.budget is not None
    assert climb.budget.y == climb.ends[1].y


def test_the_last_day_of_a_month_still_has_a_way_to_its_end() -> None:
    days = [(f"2023-11-{day:02d}", 1) for day in range(1, 31)]
    climb = climb_plot(days, "EUR", count=30, budget_micro=None, forecast=(30, 31, 32))
    xs = [float(x) for x in re.findall(r"([\d.]+),", climb.ahead)]
    assert xs[0] < xs[1]
