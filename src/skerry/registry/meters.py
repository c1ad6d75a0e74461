"""The registry's metrics.

Owns their names, labels and meanings (requirements S1). Labels come from enums and route names:
never from what a client wrote.
"""

from __future__ import annotations

from skerry.registry.replies import Outcome
from skerry.telemetry.metrics import Registry
from skerry.wire.message import HotUses


class Meters:
    """Counts answers by what was asked for and how it was answered."""

    def __init__(self, registry: Registry) -> None:
        labels = ("kind", "outcome")
        self._answers = registry.counter(
            "skerry_registry_answers",
            "Answers of the registry by kind and outcome, on either way.",
            labels,
        )
        self._seconds = registry.histogram(
            "skerry_registry_answer_seconds",
            "Seconds until the head of an answer; the fast way is not timed.",
            labels,
        )
        self._hot = registry.counter(
            "skerry_registry_hot_answers", "Those of the answers that took the fast way."
        )

    def answered(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """One answer of the full way."""
        self._answers.add(1, kind, outcome.value)
        self._seconds.observe(seconds, kind, outcome.value)

    def fast(self, kind: str, outcome: Outcome) -> HotUses:
        """Counts answers of the fast way."""

        def answered(uses: int, body_bytes: int) -> None:
            self._hot.add(uses)
            self._answers.add(uses, kind, outcome.value)

        return answered

    def counted(self, kind: str, outcome: Outcome) -> float:
        """How often a kind was answered so, on either way."""
        return self._answers.value(kind, outcome.value)
