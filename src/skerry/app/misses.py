"""What clients may have fetched, from the settings, and the meters that both doors share.

Owns that part of the composition; holds no policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skerry.app.settings.errors import Problem
from skerry.app.settings.rules import refused
from skerry.app.settings.schema import Settings, SiteSettings, UpstreamSettings
from skerry.upstream.misses import MissRules


def miss_rules(places: Iterable[UpstreamSettings | SiteSettings]) -> dict[str, MissRules]:
    """The budgets of upstreams or sites, by their names."""
    return {
        each.name: MissRules(each.misses_per_minute, each.miss_bytes_per_day) for each in places
    }


def check_misses(settings: Settings) -> Iterator[Problem]:
    """What is wrong with the budgets."""
    places: list[tuple[str, UpstreamSettings | SiteSettings]] = [
        *((f"upstream[{n}]", each) for n, each in enumerate(settings.upstreams)),
        *((f"site[{n}]", each) for n, each in enumerate(settings.sites)),
    ]
    for at, place in places:
        for name in ("misses_per_minute", "miss_bytes_per_day"):
            value: int = getattr(place, name)
            if value < 0:
                yield refused(f"{at}.{name}", value, "is negative", "write 0 for no limit")
        if 0 < place.misses_per_minute < MISSES_MIN:
            step = f"write at least {MISSES_MIN}, or 0 for no limit"
            reason = "is less than one client needs to start one image"
            yield refused(f"{at}.misses_per_minute", place.misses_per_minute, reason, step)


MISSES_MIN = 20
