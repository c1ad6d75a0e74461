"""A report as one page of HTML that needs nothing else.

Owns the markup: no script, no style from elsewhere, light and dark. What it says is that of
`core.report`.
"""

from __future__ import annotations

from html import escape

from skerry.base.units import format_bytes
from skerry.budget.core.money import format_money, rounded
from skerry.budget.core.report import MILLION, Report
from skerry.budget.core.rollback import RollbackTime

_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;"
    "margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8886}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
)


def rows_of(report: Report) -> list[tuple[str, str, str]]:
    """What is compared, in words: name, this month, the month before."""
    now, then, money = report.now_figures, report.before_figures, report.currency
    return [
        ("cost", format_money(now.cost_micro, money), format_money(then.cost_micro, money)),
        ("requests", str(now.requests), str(then.requests)),
        ("hit ratio", percent(now.hit_ratio), percent(then.hit_ratio)),
        (
            "cost of 1000 requests",
            maybe(now.per_thousand_micro, money),
            maybe(then.per_thousand_micro, money),
        ),
        (
            "cost of a GB saved",
            maybe(now.per_saved_gb_micro, money),
            maybe(then.per_saved_gb_micro, money),
        ),
        (
            "avoided at the outside's price",
            format_money(now.avoided_micro, money),
            format_money(then.avoided_micro, money),
        ),
        ("bytes out", format_bytes(now.egress_bytes), format_bytes(then.egress_bytes)),
        ("bytes in", format_bytes(now.ingress_bytes), format_bytes(then.ingress_bytes)),
        ("rollback", _short(report.now_rollback), _short(report.before_rollback)),
    ]


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
        f'<tr><th scope="row">{escape(name)}</th><td class="n">{escape(now)}</td>'
        f'<td class="n">{escape(then)}</td></tr>'
        for name, now, then in rows_of(report)
    )
    misses = "".join(
        f'<tr><td>{escape(each.what)}</td><td>{escape(each.kind)}</td><td class="n">{each.count}'
        f'</td><td class="n">{escape(format_bytes(each.ingress_bytes))}</td>'
        f'<td class="n">{escape(format_money(each.micro, report.currency, places=4))}</td>'
        f"<td>{escape(each.advice)}</td></tr>"
        for each in report.dearest
    )
    advice = "".join(f"<li>{escape(each)}</li>" for each in report.advice)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(title)}</h1><table><caption>Beside the month before</caption>"
        f'<thead><tr><th scope="col">what</th><th scope="col" class="n">{escape(report.month)}</th>'
        f'<th scope="col" class="n">{escape(report.before)}</th></tr></thead>'
        f"<tbody>{compared}</tbody></table><h2>The dearest misses</h2><table><thead><tr>"
        '<th scope="col">of</th><th scope="col">kind</th><th scope="col" class="n">times</th>'
        '<th scope="col" class="n">bytes in</th><th scope="col" class="n">cost</th>'
        f'<th scope="col">what to change</th></tr></thead><tbody>{misses}</tbody></table>'
        f"<h2>What to change</h2><ul>{advice}</ul></body></html>\n"
    )
