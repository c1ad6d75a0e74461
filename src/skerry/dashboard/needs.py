"""What needs somebody: which events of the last day are not over yet, the gravest first.

Owns the judgement, and the table of which event ends which. Knows no clock and emits nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto

from skerry.telemetry.events import Event, Level

NEEDS_SECONDS = 86_400.0
NEEDS_MAX = 12
KIND_MAX = 3
"""Of one kind that comes in floods: a hundred stale tags must not hide a disk that is full."""


class Reach(Enum):
    """Which subjects an end is the end for."""

    SAME = auto()
    HOST = auto()
    EVERY = auto()


_OF_A_FULL_DISK = (
    "store.not_writable", "store.eviction_failed", "fill.not_stored", "alarm.not_kept",
    "budget.not_kept", "clock.not_saved",
)  # fmt: skip

ENDS: Mapping[str, Mapping[str, Reach]] = {
    "alarm.channel_works": {"alarm.channel_failed": Reach.SAME},
    "blob.healed": {"blob.quarantined": Reach.SAME, "blob.lost": Reach.SAME},
    "breaker.closed": {"breaker.opened": Reach.SAME, "tag.check_failed": Reach.HOST},
    "budget.meter_sees": {"budget.meter_blind": Reach.SAME},
    "budget.rung_left": {"budget.rung": Reach.SAME, "tag.check_failed": Reach.EVERY},
    "budget.warming_resumed": {"budget.warming_paused": Reach.SAME},
    "budget.sees": {"budget.blind": Reach.SAME},
    "bundles.sent": {"bundles.waiting": Reach.SAME},
    "clock.behind": {"clock.ahead": Reach.SAME},
    "clock.right": {"clock.ahead": Reach.SAME, "clock.behind": Reach.SAME},
    "dns.validating": {"dns.unvalidated": Reach.SAME},
    "horizon.clear": {"horizon.near": Reach.EVERY, "horizon.passed": Reach.EVERY},
    "certificate.renewed": {"certificate.refused": Reach.SAME, "certificate.expires": Reach.SAME},
    "otlp.sent": {"otlp.not_sent": Reach.SAME},
    "outage.ended": {"outage.began": Reach.SAME},
    "settings.reloaded": {"settings.refused": Reach.SAME},
    "sibling.back": {"sibling.lost": Reach.SAME},
    "store.writable": dict.fromkeys(_OF_A_FULL_DISK, Reach.EVERY),
    "tag.taken_over": {"tag.take_over_waits": Reach.SAME},
    "trust.root_valid": {"trust.root_expired": Reach.SAME},
    "vault.available": {"vault.unavailable": Reach.SAME},
}
"""What an event is the end of. An event that nothing ends is shown for a day."""

OUTLIVE = frozenset(
    ("blob.lost", "blob.quarantined", "budget.meter_blind", "budget.rung", "outage.began")
)
"""What has an end, and is not told of again by a node that starts with it."""

OUTAGE = "outage.began"
COVERED: Mapping[str, tuple[str, ...]] = {
    "upstream": ("breaker.opened", "tag.check_failed"),
    "site": ("breaker.opened",),
    "disk": tuple(kind for kind in _OF_A_FULL_DISK if kind != "store.not_writable"),
}
"""What only repeats an outage that stands, by what was lost. One trouble is one line."""


def needs(
    events: Sequence[Event],
    now: float,
    *,
    started_at: float = 0.0,
    well: Mapping[str, float] | None = None,
    ill: Container[str] = (),
) -> tuple[Event, ...]:
    """The newest of each kind and subject, from events with the newest first.

    Errors come first, then outages; of a kind with many subjects the last one shown says how many
    more there are. A node that has started since tells anew of what is still so. `well` says when
    what is not in trouble was heard last: an end that was told to a full disk is not on record.
    `ill` is what is in trouble now: an outage of it is shown for as long as it lasts.
    """
    over: set[tuple[str, str]] = set()
    told_anew = {kind for kinds in ENDS.values() for kind in kinds} - OUTLIVE
    found: dict[tuple[str, str], Event] = {}
    for event in events:
        for kind, reach in ENDS.get(event.kind, {}).items():
            over.add((kind, _key(event.subject, reach)))
        lasts = event.kind == OUTAGE and event.subject in ill
        if event.at < now - NEEDS_SECONDS and not lasts:
            continue
        asks = event.level is not Level.INFO and event.next_step
        if event.at < started_at and event.kind in told_anew:
            continue
        if asks and not any((event.kind, _key(event.subject, reach)) in over for reach in Reach):
            found.setdefault((event.kind, event.subject), event)
    for what, heard_at in (well or {}).items():
        if (OUTAGE, what) in found and found[OUTAGE, what].at < heard_at:
            del found[OUTAGE, what]
    lost = {subject for kind, subject in found if kind == OUTAGE}
    left = [each for each in found.values() if not _is_covered(each, lost)]
    ordered = sorted(left, key=lambda each: (each.level is not Level.ERROR, each.kind != OUTAGE))
    return tuple(_folded(ordered)[:NEEDS_MAX])


def _is_covered(event: Event, lost: Container[str]) -> bool:
    host = event.subject.partition("/")[0]
    return any(
        event.kind in kinds and ("disk store" if what == "disk" else f"{what} {host}") in lost
        for what, kinds in COVERED.items()
    )


def _key(subject: str, reach: Reach) -> str:
    match reach:
        case Reach.SAME:
            return f"={subject}"
        case Reach.HOST:
            return f"{subject.partition('/')[0]}/"
        case Reach.EVERY:
            return "*"


def _folded(events: Sequence[Event]) -> list[Event]:
    every, seen = Counter(each.kind for each in events), Counter[str]()
    shown = []
    for event in events:
        seen[event.kind] += 1
        more = every[event.kind] - KIND_MAX
        if seen[event.kind] == KIND_MAX and more > 0:
            shown.append(replace(event, subject=f"{event.subject} and {more} more"))
        elif seen[event.kind] <= KIND_MAX:
            shown.append(event)
    return shown
