"""A report as one page of HTML that needs nothing else.

Owns the markup: no script, no style from elsewhere, light and dark. What it says is that of
`core.report`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from skerry.base.units import format_bytes, format_seconds
from skerry.budget.core.money import format_money, rounded
from skerry.budget.core.report import MILLION, Figures, Report
from skerry.budget.core.rollback import RollbackTime

_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;"
    "margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8886}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison, in words; `change` is empty where nothing can be compared."""

    name: str
    now: str
    then: str
    change: str


def rows_of(report: Report) -> list[Row]:
    """What is compared. Sums of a part of a month are not: they would differ in any case."""
    now, then, money = report.now_figures, report.before_figures, report.currency
    whole = not report.running and not report.before_begun_late

    def sums(name: str, words: Callable[[int], str], of: Callable[[Figures], int]) -> Row:
        change = relative(of(now), of(then)) if whole else ""
        return Row(name, words(of(now)), words(of(then)), change)

    def unit(name: str, of: Callable[[Figures], int]) -> Row:
        return Row(name, maybe(of(now), money), maybe(of(then), money), relative(of(now), of(then)))

    def priced(micro: int) -> str:
        return format_money(micro, money)

    here = (percent(now.hit_ratio), percent(then.hit_ratio))
    return [
        sums("cost", priced, lambda each: each.cost_micro),
        sums("requests", str, lambda each: each.requests),
        Row("hit ratio", *here, points(now.hit_ratio, then.hit_ratio)),
        sums("besides, stale", str, lambda each: each.stale),
        sums("besides, joined", str, lambda each: each.joined),
        unit("cost of 1000 requests", lambda each: each.per_thousand_micro),
        unit("cost of a GB saved", lambda each: each.per_saved_gb_micro),
        sums("avoided at the outside's price", priced, lambda each: each.avoided_micro),
        sums("bytes out", format_bytes, lambda each: each.egress_bytes),
        sums("bytes in", format_bytes, lambda each: each.ingress_bytes),
        Row(
            "rollback",
            _short(report.now_rollback),
            _short(report.before_rollback),
            _slower(report.now_rollback, report.before_rollback),
        ),
    ]


def columns_of(report: Report) -> tuple[str, str, str]:
    """What stands over the numbers."""
    now = f"{report.month} so far" if report.running else report.month
    then = f"{report.before}, not whole" if report.before_begun_late else report.before
    return now, then, "change"


def relative(now: int, then: int) -> str:
    """By how much something rose or fell, as `+12.5 %`; empty without a before."""
    if now < 0 or then <= 0:
        return ""
    tenths = rounded(abs(now - then) * 1000, then)
    return f"{'-' if now < then else '+'}{tenths // 10}.{tenths % 10} %"


def points(now: int, then: int) -> str:
    """The difference of two shares in millionths, as `-2.5 points`; empty where one is unknown."""
    if now < 0 or then < 0:
        return ""
    tenths = rounded(abs(now - then), 1000)
    return f"{'-' if now < then else '+'}{tenths // 10}.{tenths % 10} points"


def _slower(now: RollbackTime, then: RollbackTime) -> str:
    if now.seconds < 0 or then.seconds < 0 or now.of_drill != then.of_drill:
        return ""
    change = now.seconds - then.seconds
    return f"{'-' if change < 0 else '+'}{format_seconds(abs(change))}"


def _short(rollback: RollbackTime) -> str:
    return rollback.words if rollback.seconds >= 0 else "not measured"


def percent(millionths: int) -> str:
    """934512 -> `93.4 %`; `-` for none."""
    if millionths < 0:
        return "-"
    # As the pages round: 99.96 % is not all of it, only what is whole is written as 100.
    tenths = rounded(millionths, 1000)
    whole, tenth = divmod(min(tenths, 999) if millionths < MILLION else tenths, 10)
    return f"{whole}.{tenth} %"


def maybe(micro: int, currency: str) -> str:
    """Money to six places; `-` for none."""
    return "-" if micro < 0 else format_money(micro, currency, places=6)


def page(report: Report) -> str:
    """The whole page."""
    title = f"{report.node}: {report.month}"
    compared = "".join(
        f'<tr><th scope="row">{escape(row.name)}</th><td class="n">{escape(row.now)}</td>'
        f'<td class="n">{escape(row.then)}</td><td class="n">{escape(row.change)}</td></tr>'
        for row in rows_of(report)
    )
    misses = "".join(
        f'<tr><td>{escape(each.what)}</td><td>{escape(each.kind)}</td><td class="n">{each.count}'
        f'</td><td class="n">{escape(format_bytes(each.ingress_bytes))}</td>'
        f'<td class="n">{escape(format_money(each.micro, report.currency, places=4))}</td>'
        f"<td>{escape(each.advice)}</td></tr>"
        for each in report.dearest
    )
    heads = "".join(f'<th scope="col" class="n">{escape(each)}</th>' for each in columns_of(report))
    advice = "".join(f"<li>{escape(each)}</li>" for each in report.advice)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(title)}</h1><table><caption>Beside the month before</caption>"
        f'<thead><tr><th scope="col">what</th>{heads}</tr></thead>'
        f"<tbody>{compared}</tbody></table><h2>The dearest misses</h2><table><thead><tr>"
        '<th scope="col">of</th><th scope="col">kind</th><th scope="col" class="n">times</th>'
        '<th scope="col" class="n">bytes in</th><th scope="col" class="n">cost</th>'
        f'<th scope="col">what to change</th></tr></thead><tbody>{misses}</tbody></table>'
        f"<h2>What to change</h2><ul>{advice}</ul></body></html>\n"
    )
