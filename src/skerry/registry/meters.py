"""The registry's metrics.

Owns their names, labels and meanings (requirements S1). Labels come from enums and route names:
never from what a client wrote.
"""

from __future__ import annotations

from collections.abc import Callable

from skerry.registry.replies import Outcome
from skerry.telemetry.metrics import Registry


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
        self._one_hot = self._hot.one()

    def answered(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """One answer of the full way."""
        self._answers.add(1, kind, outcome.value)
        self._seconds.observe(seconds, kind, outcome.value)

    def fast(self, kind: str, outcome: Outcome) -> Callable[[], None]:
        """Counts one answer of the fast way at each call."""
        one_hot, one_answer = self._one_hot, self._answers.one(kind, outcome.value)

        def answered() -> None:
            one_hot()
            one_answer()

        return answered

    def counted(self, kind: str, outcome: Outcome) -> float:
        """How often a kind was answered so, on either way."""
        return self._answers.value(kind, outcome.value)
