"""The page of the ledger: which plots and tables a month makes.

Owns what is shown of a month that runs and not of one that is over. Adds nothing up: the sums are
`budget.core`'s.
"""

from __future__ import annotations

from skerry.budget.core.month import MonthBook
from skerry.budget.core.periods import DAY_SECONDS, month_before, month_of
from skerry.dashboard.facts import Money
from skerry.dashboard.plots import bars, climb_plot, days_plot

PARTS_MAX = 20


def costs_of(book: MonthBook, money: Money | None, now: float) -> dict[str, object]:
    """What the template is given; `money` is where the budget stands now, if anywhere."""
    runs = book.start <= now < book.end
    monthly = runs and money is not None and money.period == book.period
    daily = runs and money is not None and not monthly
    count = (book.end - book.start) // DAY_SECONDS
    budget = money.budget_micro if money is not None else None
    shown = {
        name: bars(parts[:PARTS_MAX], book.currency)
        for name, parts in book.cuts.items()
        # Only what somebody has named is worth a table.
        if any(label for label, _ in parts)
    }
    return {
        "book": book,
        "money": money if runs else None,
        "runs": runs,
        "cuts": shown,
        "more": {name: len(book.cuts[name]) - PARTS_MAX for name in shown},
        "days": days_plot(
            book.days, book.currency, count=count, budget_micro=budget if daily else None
        ),
        "climb": climb_plot(
            book.days,
            book.currency,
            count=count,
            budget_micro=budget if monthly else None,
            forecast=money.forecast if monthly and money is not None else None,
        ),
        "table": bars(book.days, book.currency),
        "before": month_before(month_of(book.start)).name,
        "after": "" if runs or book.end > now else month_of(book.end).name,
    }
