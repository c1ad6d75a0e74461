"""A trial of a sheet and a budget from files, without a node.

Owns which files are read and how far. What comes of it is `budget.core.verdict`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry.app.budget.limits import limits_of, steps_of
from skerry.app.settings.checks.budget import SHEET_BYTES_MAX
from skerry.app.settings.load import load
from skerry.base.errors import BadInput, Party
from skerry.budget.core.periods import Every
from skerry.budget.core.prices import BadPrices, PriceSheet, read_sheet
from skerry.budget.core.trial import Rules, Usage
from skerry.budget.core.verdict import Terms, Trial, try_out
from skerry.budget.recorded import WRITE_IT, read_usage

USAGE_BYTES_MAX = 1 << 28


@dataclass(frozen=True, slots=True)
class Asked:
    """What is tried: recorded usage, the sheet in `prices` (None for that of the settings), and
    the one to compare with."""

    usage: Path
    prices: Path | None
    against: Path | None
    as_of: int | None


def try_files(
    asked: Asked,
    terms: Terms,
    *,
    config: Path | None,
    env: Mapping[str, str],
    overrides: Mapping[str, str],
) -> Trial:
    """Tries it. Raises SettingsError of what is wrong in [budget], BadPrices, BadInput."""
    usage = _usage(asked.usage)
    named = dict(overrides)
    if asked.prices is not None:
        _sheet(asked.prices)  # its own words for it, before the settings' checks have theirs
        named["budget.prices_file"] = str(asked.prices.absolute())
    # Keys, certificates and data of the node are elsewhere: nothing of them is judged here.
    budget = load(config, env, named, only="budget.").budget
    if not budget.prices_file:
        step = "name one: --prices prices.toml, or budget.prices_file in the settings"
        raise BadInput("there is no price sheet to try", next_step=step, party=Party.OPERATOR)
    return try_out(
        usage,
        _sheet(Path(budget.prices_file)),
        Rules(limits_of(budget), steps_of(budget), Every(budget.period)),
        terms,
        against=_sheet(asked.against) if asked.against is not None else None,
        as_of=asked.as_of,
    )


def _usage(path: Path) -> Usage:
    data = _read(path, USAGE_BYTES_MAX)
    if len(data) > USAGE_BYTES_MAX:
        what = f"{path} is over {USAGE_BYTES_MAX >> 20} MiB"
        raise BadInput(what, next_step="try a shorter time: " + WRITE_IT, party=Party.OPERATOR)
    return read_usage(data, str(path))


def _sheet(path: Path) -> PriceSheet:
    data = _read(path, SHEET_BYTES_MAX)
    if len(data) > SHEET_BYTES_MAX:
        raise BadPrices(f"{path} is over 1 MiB", next_step="leave old prices out")
    return read_sheet(data.decode("utf-8", "replace"), str(path))


def _read(path: Path, bytes_max: int) -> bytes:
    """As much of a file as shows whether it is too long. Raises BadInput."""
    try:
        with path.open("rb") as file:
            return file.read(bytes_max + 1)
    except OSError as error:
        reason = (error.strerror or "unknown").lower()
        what = f"{path} cannot be read: {reason}"
        raise BadInput(what, next_step="name another file", party=Party.OPERATOR) from error
