"""Tables of what costs come from: cold starts, keeping, and who asks. Each number as it is told."""

from __future__ import annotations

from collections.abc import Sequence

from skerry.base.units import format_bytes
from skerry.budget.core.money import format_money
from skerry.budget.core.warmth import SourceCost, Warmth
from skerry.cli.screen import numbers_table, out, plain


def show_warmth(found: Sequence[Warmth], currency: str) -> None:
    """What a miss costs beside a hit, and keeping; nothing without a sheet."""
    if not found or not currency:
        return
    table = numbers_table("COLD AND WARM", "A HIT", "A MISS, ON TOP", "KEEPING/MONTH", "= MISSES")
    for each in found:
        cold = "-" if each.cold_micro is None else format_money(each.cold_micro, currency, places=6)
        table.add_row(
            plain(each.what),
            plain(format_money(each.answer_micro, currency, places=6)),
            plain(cold),
            plain(format_money(each.kept_month_micro, currency, places=4)),
            "-" if each.breaks_even is None else str(each.breaks_even),
        )
    out().print(table)


def show_sources(found: Sequence[SourceCost], currency: str) -> None:
    """What each class of sources caused since the start; nothing where none did."""
    if not found:
        return
    table = numbers_table("FETCHED FOR", "ASKED", "NOT THERE", "REFUSED", "IN", "COST")
    for each in found:
        table.add_row(
            plain(each.source),
            str(each.asked),
            str(each.absent),
            str(each.refused),
            format_bytes(each.ingress_bytes),
            format_money(each.micro, currency, places=4),
        )
    out().print(table)
