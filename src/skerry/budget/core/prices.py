"""The price sheet: what each unit costs, since when.

Owns its form, its checks and which price holds at a moment. A price without its unit is refused
with its line: 0.08 of what, for how long, is not for a program to guess. Never reads a file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from skerry.base.errors import Party, SkerryError
from skerry.budget.core.money import MICRO, Rate, decimal_ratio
from skerry.budget.core.periods import DAY_SECONDS, HOUR_SECONDS, month_of
from skerry.budget.core.usage import Meter

PRICES_MAX = 512
_FIELDS = ("meter", "price", "currency", "unit", "period", "valid_from")
_CURRENCY = re.compile(r"[A-Z]{3}\Z")
_HEADER = re.compile(r"\s*\[\[\s*price\s*\]\]")
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class For(StrEnum):
    """What a price is for: each use, or a time for which something is held."""

    USE = "use"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Priced:
    """What may have a price: its meter, its units in base units, and whether time counts."""

    meter: Meter
    units: Mapping[str, int]
    held: bool = False


PRICED: Mapping[str, Priced] = {
    "egress": Priced(Meter.EGRESS_BYTES, _BYTES),
    "ingress": Priced(Meter.INGRESS_BYTES, _BYTES),
    "storage": Priced(Meter.STORE_BYTE_SECONDS, _BYTES, held=True),
    "requests": Priced(
        Meter.REQUESTS, {"request": 1, "1000 requests": 1000, "million requests": 10**6}
    ),
    "cpu": Priced(Meter.CPU_MICROSECONDS, {"CPU-second": MICRO, "CPU-hour": 3600 * MICRO}),
    "pulls": Priced(Meter.PULLS, {"pull": 1, "1000 pulls": 1000}),
    "vault_calls": Priced(
        Meter.VAULT_CALLS, {"call": 1, "1000 calls": 1000, "million calls": 10**6}
    ),
    "node": Priced(Meter.NODE_SECONDS, {"node": 1}, held=True),
}
"""By the name in the sheet."""


@dataclass(frozen=True, slots=True)
class Price:
    """One price. `micro` for `per` units of `unit_size` base units each."""

    name: str
    micro: int
    per: int
    unit: str
    period: For
    valid_from: int

    @property
    def meter(self) -> Meter:
        """What it is for."""
        return PRICED[self.name].meter

    @property
    def unit_label(self) -> str:
        """`GB`, or `GB-month` where time counts."""
        return self.unit if self.period is For.USE else f"{self.unit}-{self.period}"

    def unit_size(self, at: int) -> int:
        """A unit in base units of the meter; a month is as long as the one of that moment."""
        return PRICED[self.name].units[self.unit] * _seconds(self.period, at)

    def rate(self, at: int) -> Rate:
        """The price as a ratio."""
        return Rate(self.micro, self.per * self.unit_size(at))


@dataclass(frozen=True, slots=True)
class PriceSheet:
    """All prices, in one currency."""

    currency: str = ""
    prices: tuple[Price, ...] = ()

    def at(self, meter: Meter, moment: int) -> Price | None:
        """The price that holds at a moment: the last that began; None before the first."""
        found = None
        for price in self.prices:
            if price.meter is meter and price.valid_from <= moment:
                found = price
        return found


class BadPrices(SkerryError):
    """A price sheet that cannot be used."""

    party = Party.OPERATOR


def read_sheet(text: str, named: str) -> PriceSheet:
    """The sheet in a TOML text; `named` is its file. Raises BadPrices with line and field."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadPrices(f"{named} is not TOML: {error}", next_step="correct that line") from error
    tables = document.get("price")
    if set(document) - {"price"} or not isinstance(tables, list) or not tables:
        raise BadPrices(
            f"{named} holds no list of prices", next_step="write each as [[price]], nothing else"
        )
    if len(tables) > PRICES_MAX:
        raise BadPrices(f"{named} has over {PRICES_MAX} prices", next_step="leave old ones out")
    places = _Places(named, text)
    prices = [_price(table, at, places) for at, table in enumerate(tables)]
    currencies = [str(table["currency"]) for table in tables]
    for at, currency in enumerate(currencies):
        if currency != currencies[0]:
            raise places.bad(at, "currency", f"{currency!r} beside {currencies[0]}", "use one")
    seen: set[tuple[str, int]] = set()
    for at, price in enumerate(prices):
        if (price.name, price.valid_from) in seen:
            reason = f"{price.name} has another price from that moment"
            raise places.bad(at, "valid_from", reason, "keep one of them")
        seen.add((price.name, price.valid_from))
    return PriceSheet(currencies[0], tuple(sorted(prices, key=lambda each: each.valid_from)))


@dataclass(frozen=True, slots=True)
class _Places:
    """Where things are in the text: tomllib does not say."""

    named: str
    text: str

    def bad(self, at: int, field: str, reason: str, step: str) -> BadPrices:
        where = f"{self.named} line {self.line(at, field)}: price[{at}].{field}"
        return BadPrices(f"{where} {reason}", next_step=step)

    def line(self, at: int, field: str) -> int:
        """The line of a field of the `at`th table, else that of its header, from 1."""
        seen, header = -1, 1
        for number, line in enumerate(self.text.splitlines(), 1):
            if _HEADER.match(line):
                seen += 1
                header = number if seen == at else header
            elif seen == at and re.match(rf"\s*\"?{field}\"?\s*=", line):
                return number
        return header


def _price(table: object, at: int, places: _Places) -> Price:
    if not isinstance(table, dict):
        raise places.bad(at, "", "is no table", "write [[price]]")
    for name in table:
        if name not in _FIELDS:
            raise places.bad(at, name, "is no field", f"known here: {', '.join(_FIELDS)}")
    for name in _FIELDS:
        if name not in table:
            raise places.bad(at, name, "is missing", f"each price has {', '.join(_FIELDS)}")
    name, unit, period = (str(table[field]) for field in ("meter", "unit", "period"))
    priced = PRICED.get(name)
    if priced is None:
        raise places.bad(at, "meter", f"{name!r} is not counted", f"one of {', '.join(PRICED)}")
    if unit not in priced.units:
        step = f"for {name}: {', '.join(priced.units)}"
        raise places.bad(at, "unit", f"{unit!r} is no unit of it", step)
    allowed = (For.HOUR, For.DAY, For.MONTH) if priced.held else (For.USE,)
    if period not in allowed:
        raise places.bad(
            at, "period", f"{period!r} is no period of it", f"for {name}: {', '.join(allowed)}"
        )
    if not _CURRENCY.match(str(table["currency"])):
        step = "write its three letters (ISO 4217), as EUR"
        raise places.bad(at, "currency", f"{table['currency']!r} is no currency", step)
    if not isinstance(table["price"], str):
        step = 'write it in quotes, as in "0.08": a float is not exact'
        raise places.bad(at, "price", "is not text", step)
    try:
        numerator, denominator = decimal_ratio(table["price"])
    except SkerryError as error:
        raise places.bad(at, "price", error.what, error.next_step) from error
    valid_from = _moment(table["valid_from"], at, places)
    return Price(name, numerator * MICRO, denominator, unit, For(period), valid_from)


def _moment(value: object, at: int, places: _Places) -> int:
    if isinstance(value, datetime):
        moment = int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    elif isinstance(value, date):
        moment = int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())
    else:
        step = "write a date without quotes, as 2026-01-01"
        raise places.bad(at, "valid_from", "is no date", step)
    if moment % HOUR_SECONDS:
        step = "begin at a full hour (UTC): the ledger keeps hours"
        raise places.bad(at, "valid_from", "is within an hour", step)
    return moment


def _seconds(period: For, at: int) -> int:
    if period is For.MONTH:
        return month_of(at).seconds
    return {For.HOUR: HOUR_SECONDS, For.DAY: DAY_SECONDS}.get(period, 1)
