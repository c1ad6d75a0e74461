"""Another price sheet for a ledger that has rows: whether it leaves what was told as it is.

Owns the rule (requirements S3): a new sheet may say what things will cost, never what they have
cost. So the same usage gives the same money before and after it, and there is one sheet to replay
with. Reads no file and no ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from skerry.budget.core.money import MICRO
from skerry.budget.core.periods import iso
from skerry.budget.core.prices import PRICED, Price, PriceSheet
from skerry.budget.core.rating import COSTING

TOLD_MAX = 20
"""Changes of a sheet that are told one by one."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a sheet would change of what has been told: from `at` on the price of a meter `was` one
    and would be another; None for no price."""

    name: str
    at: int
    was: Price | None
    would_be: Price | None

    @property
    def sentence(self) -> str:
        """For people."""
        was, would_be = (_amount(each) for each in (self.was, self.would_be))
        if was == would_be:
            return f"the price of {self.name} that holds at {iso(self.at)} began at another hour"
        return f"{self.name} cost {was} from {iso(self.at)} on, and would have cost {would_be}"


def rewritten(old: PriceSheet, new: PriceSheet, *, start: int, stop: int) -> Rewritten | None:
    """The first change of what hours from `start` to `stop` have cost; None when there is none.

    A price that is the same and begins at another moment within them is a change, too: a day's use
    is rounded once for each price.
    """
    if start >= stop:
        return None
    begun = {each.valid_from for each in (*old.prices, *new.prices)}
    for at in sorted({start, *(each for each in begun if start < each < stop)}):
        for meter in COSTING:
            was, would_be = old.at(meter, at), new.at(meter, at)
            if _meaning(was, start) != _meaning(would_be, start):
                name = next(name for name, each in PRICED.items() if each.meter is meter)
                return Rewritten(name, at, was, would_be)
    return None


def changes(old: PriceSheet, new: PriceSheet) -> tuple[str, ...]:
    """What a sheet says that another did not, for people, in the order in which it will hold."""
    known = {_meaning(each, 0) for each in old.prices}
    coming = {_meaning(each, 0) for each in new.prices}
    told = [_sentence(each) for each in new.prices if _meaning(each, 0) not in known]
    told += [
        f"{_sentence(each)}: not any more" for each in old.prices if _meaning(each, 0) not in coming
    ]
    if len(told) > TOLD_MAX:
        return (*told[:TOLD_MAX], f"and {len(told) - TOLD_MAX} more")
    return tuple(told)


def _meaning(price: Price | None, start: int) -> tuple[object, ...]:
    """What makes two prices give the same money, whatever they are called in the sheet."""
    if price is None:
        return ()
    size = price.per * PRICED[price.name].units[price.unit]
    ratio = Fraction(price.micro, size)
    return price.name, ratio, price.period, max(price.valid_from, start)


def _sentence(price: Price) -> str:
    return f"{price.name} {_amount(price)} from {iso(price.valid_from)}"


def _amount(price: Price | None) -> str:
    if price is None:
        return "nothing"
    amount = format((Decimal(price.micro) / (price.per * MICRO)).normalize(), "f")
    return f"{amount} per {price.unit_label}"
