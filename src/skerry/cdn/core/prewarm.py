"""What is worth fetching before anybody asks: a list or a manifest, and the plan within its caps.

Owns the reading of both, the order, the arithmetic of bytes and money, and what is left out. Never
fetches. Money is in integer micro-units of whatever currency the operator thinks in (requirements
T3: a plan with its cost comes first, and stops at the budget).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urljoin

from skerry.base.errors import BadInput

WISHES_MAX = 10_000
URL_CHARS_MAX = 8192
GB = 10**9
MICRO = 10**6

MANIFEST_STEP = 'write {"objects": [{"url": "https://www.example.org/film.mp4"}]}'


@dataclass(frozen=True, slots=True)
class Wish:
    """One URL that should be here. The higher `weight` (a forecast, say) goes first."""

    url: str
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be spent; None for no bound. `micro_per_gb` is the price of 10^9 bytes."""

    bytes_max: int | None = None
    cost_micro_max: int | None = None
    micro_per_gb: int = 0


class Verdict(StrEnum):
    """What becomes of a wish."""

    FETCH = "fetch"
    HERE = "here"
    BEYOND = "beyond"  # it would go over a cap
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a wish before the plan.

    Attributes:
        missing_bytes: what is not here of it, None when nobody says its length.
        size_bytes: of the whole.
        refused: why it cannot be had, "" when it can.
    """

    wish: Wish
    size_bytes: int | None = None
    missing_bytes: int | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A wish with its verdict; `why` is "" for those that are fetched or here."""

    found: Found
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every wish in order of fetching, and what it comes to."""

    items: tuple[Item, ...]
    fetch_bytes: int
    cost_micro: int

    def count(self, verdict: Verdict) -> int:
        """How many have it."""
        return sum(item.verdict is verdict for item in self.items)


class Step(StrEnum):
    """What an event tells of."""

    ITEM = "item"
    PLAN = "plan"
    WAITING = "waiting"  # visitors need the link
    PAUSED = "paused"  # the budget burns too fast
    FETCHING = "fetching"
    FETCHED = "fetched"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class PrewarmEvent:
    """One line of a run. Of `item`, `fetching`, `fetched` and `failed` one object, of `plan` and
    `done` all of them.

    Attributes:
        size_bytes, missing_bytes: of the whole and of what is not here; -1 when not known.
        counts: of objects by verdict (`plan`), or by what became of them (`done`).
        done_bytes: fetched so far.
    """

    step: Step
    url: str = ""
    verdict: str = ""
    what: str = ""
    size_bytes: int = -1
    missing_bytes: int = -1
    done_bytes: int = 0
    cost_micro: int = 0
    counts: dict[str, int] | None = None


def cost_micro(size_bytes: int, micro_per_gb: int) -> int:
    """What so many bytes cost, rounded up: a cap must hold."""
    return -(-size_bytes * micro_per_gb // GB)


def plan(found: Sequence[Found], caps: Caps) -> Plan:
    """Takes what fits, the heaviest first. What has no length fits only where there is no cap."""
    capped = caps.bytes_max is not None or caps.cost_micro_max is not None
    total = 0
    items: list[Item] = []
    for one in sorted(found, key=lambda each: -each.wish.weight):
        if one.refused:
            items.append(Item(one, Verdict.REFUSED, one.refused))
        elif one.missing_bytes == 0:
            items.append(Item(one, Verdict.HERE))
        elif one.missing_bytes is None and capped:
            items.append(Item(one, Verdict.BEYOND, "its length is not known, and there is a cap"))
        elif why := over(total + (one.missing_bytes or 0), caps):
            items.append(Item(one, Verdict.BEYOND, why))
        else:
            total += one.missing_bytes or 0
            items.append(Item(one, Verdict.FETCH))
    return Plan(tuple(items), total, cost_micro(total, caps.micro_per_gb))


def over(total_bytes: int, caps: Caps) -> str:
    """Which cap so many bytes would break, "" for none."""
    if caps.bytes_max is not None and total_bytes > caps.bytes_max:
        return "it would go over the bytes allowed"
    cost = cost_micro(total_bytes, caps.micro_per_gb)
    if caps.cost_micro_max is not None and cost > caps.cost_micro_max:
        return "it would go over the cost allowed"
    return ""


def wishes_of_text(text: str) -> tuple[Wish, ...]:
    """A list, one URL a line with `#` for remarks, or a manifest. Raises BadInput."""
    if text.lstrip().startswith("{"):
        return wishes_of_manifest(text.encode(), base="")
    lines = (line.strip() for line in text.splitlines())
    return _bounded([Wish(line) for line in lines if line and not line.startswith("#")])


def wishes_of_manifest(data: bytes, *, base: str) -> tuple[Wish, ...]:
    """`{"objects": [{"url": ..., "weight": 1.5}]}`; URLs are read against `base`.

    Unknown fields are passed over: the same manifest serves players too. Raises BadInput.
    """
    try:
        document: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput("the manifest is not JSON", next_step=MANIFEST_STEP) from error
    objects = document.get("objects") if isinstance(document, Mapping) else None
    if not isinstance(objects, list):
        raise BadInput("the manifest has no list of objects", next_step=MANIFEST_STEP)
    return _bounded([_wish(one, base) for one in objects[: WISHES_MAX + 1]])


def _wish(one: object, base: str) -> Wish:
    url = one.get("url") if isinstance(one, Mapping) else None
    weight = one.get("weight", 0.0) if isinstance(one, Mapping) else None
    # A number that is not one sorts nowhere: NaN would undo the order of all the others.
    if isinstance(weight, bool) or not isinstance(weight, int | float) or weight != weight:
        raise BadInput("a weight in the manifest is no number", next_step=MANIFEST_STEP)
    if not isinstance(url, str) or not url:
        raise BadInput("an object in the manifest has no url", next_step=MANIFEST_STEP)
    try:
        return Wish(urljoin(base, url), float(weight))
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{url[:200]!r} cannot be read", next_step=MANIFEST_STEP) from error


def _bounded(wishes: Sequence[Wish]) -> tuple[Wish, ...]:
    """Each URL once. Raises BadInput for too many or too long ones."""
    if len(wishes) > WISHES_MAX:
        raise BadInput(f"more than {WISHES_MAX} URLs", next_step="split the list")
    if any(len(wish.url) > URL_CHARS_MAX for wish in wishes):
        raise BadInput("a URL is longer than 8 KiB", next_step="leave it out")
    heaviest: dict[str, Wish] = {}
    for wish in wishes:
        known = heaviest.get(wish.url)
        if known is None or wish.weight > known.weight:
            heaviest[wish.url] = wish
    return tuple(heaviest.values())
