"""The registry's metrics.

Owns their names, labels and meanings (requirements S1, S2). Labels come from enums and route names:
never from what a client wrote. What is pulled from private upstreams is shown in groups only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from skerry.registry.replies import Outcome
from skerry.telemetry.grouped import Group, Grouped
from skerry.telemetry.labels import Values
from skerry.telemetry.metrics import Registry
from skerry.wire.message import HotUses

PUBLIC, SENSITIVE = "public", "sensitive"
CLASSES = (PUBLIC, SENSITIVE)
KINDS = (
    *("base", "catalog", "manifest", "blob", "tags", "referrers", "uploads", "upload"),
    *("token", "other"),
)
PULLS = ("manifest", "blob")
HERE = (Outcome.HIT, Outcome.STALE, Outcome.LOCAL)
"""What was answered from what is here."""
LATE_SECONDS = 2.0
"""Nobody should wait so long for what is here."""
WARM, COLD = "warm", "cold"
LABELS: dict[str, Values] = {"class": CLASSES, "kind": KINDS, "outcome": Outcome}


@dataclass(frozen=True, slots=True)
class RegistryTraffic:
    """A snapshot, exact for every class and never shown to others than the operator.

    Attributes:
        answers, body_bytes: by (class, kind, outcome), since start.
        starts: of images, warm and cold.
    """

    answers: dict[tuple[str, str, str], int]
    body_bytes: dict[tuple[str, str, str], int]
    starts: dict[str, int]


class Meters:
    """Counts answers by what was asked for and how it was answered."""

    def __init__(self, registry: Registry) -> None:
        self._answers = registry.counter(
            "skerry_registry_answers",
            "Answers of the registry by class, kind and outcome, on either way.",
            LABELS,
        )
        self._bytes = registry.counter(
            "skerry_registry_answer_bytes", "Body bytes of these answers that left.", LABELS
        )
        self._seconds = registry.histogram(
            "skerry_registry_answer_seconds",
            "Seconds until the head of an answer; the fast way is not timed.",
            {"kind": KINDS, "outcome": Outcome},
        )
        self._hot = registry.counter(
            "skerry_registry_hot_answers", "Those of the answers that took the fast way."
        )
        self._starts = registry.counter(
            "skerry_registry_starts",
            "Images pulled to be started: cold when any byte of one was not here.",
            {"temperature": (WARM, COLD)},
        )
        self._answers.begin((PUBLIC,), PULLS, tuple(Outcome))
        self._starts.begin((WARM, COLD))
        self._late = 0
        self._exact: Counter[tuple[str, str, str]] = Counter()
        self._exact_bytes: Counter[tuple[str, str, str]] = Counter()
        self.grouped = Grouped(self._show, group_min=registry.group_min)

    def answered(
        self,
        data_class: str,
        kind: str,
        outcome: Outcome,
        *,
        size_bytes: int = 0,
        seconds: float,
        trace_id: str = "",
    ) -> None:
        """One answer of the full way; `trace_id` where a trace of a public one is kept. Its bytes
        are counted as they leave, by `sent`, or are known: `size_bytes`."""
        key = (data_class, kind, outcome.value)
        self._count(key, 1, size_bytes)
        self._late += outcome in HERE and seconds > LATE_SECONDS
        if data_class == SENSITIVE:
            self.grouped.count(key, requests=1, body_bytes=size_bytes, seconds=(seconds,))
            return
        self._answers.add(1, *key)
        self._bytes.add(size_bytes, *key)
        self._seconds.observe(seconds, kind, outcome, trace_id=trace_id)

    def sent(self, data_class: str, kind: str, outcome: Outcome, body_bytes: int) -> None:
        """So many bytes more of an answer of the full way have left."""
        key = (data_class, kind, outcome.value)
        self._exact_bytes[key] += body_bytes
        if data_class == SENSITIVE:
            self.grouped.count(key, requests=0, body_bytes=body_bytes)
        else:
            self._bytes.add(body_bytes, *key)

    def fast(self, kind: str, outcome: Outcome) -> HotUses:
        """Counts answers of the fast way, which only public ones take."""
        key = (PUBLIC, kind, outcome.value)

        def answered(uses: int, body_bytes: int) -> None:
            self._count(key, uses, body_bytes)
            self._hot.add(uses)
            self._answers.add(uses, *key)
            self._bytes.add(body_bytes, *key)

        return answered

    def started(self, count: int, *, whole: bool) -> None:
        """So many pulls of one image began, all of whose bytes were here or not."""
        self._starts.add(count, WARM if whole else COLD)

    def late(self) -> int:
        """Answers from what is here that took longer than they may, since start."""
        return self._late

    def counted(self, kind: str, outcome: Outcome) -> float:
        """How often a kind was answered so, on either way."""
        return sum(self._exact[data_class, kind, outcome.value] for data_class in CLASSES)

    def statistics(self) -> RegistryTraffic:
        """A snapshot."""
        starts = {each: int(self._starts.value(each)) for each in (WARM, COLD)}
        return RegistryTraffic(dict(self._exact), dict(self._exact_bytes), starts)

    def _count(self, key: tuple[str, str, str], uses: int, body_bytes: int) -> None:
        self._exact[key] += uses
        self._exact_bytes[key] += body_bytes

    def _show(self, key: tuple[str, ...], group: Group) -> None:
        self._answers.add(group.requests, *key)
        self._bytes.add(group.body_bytes, *key)
        for seconds in group.seconds:
            self._seconds.observe(seconds, key[1], key[2])
