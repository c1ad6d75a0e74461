"""What a label of a metric may say.

Owns the bound of every label: a closed vocabulary, or names that the operator's settings give.
A value outside a vocabulary is shown as `other`, so that nothing a client wrote ever gets into a
label (requirements S1, S2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Named:
    """Values that the settings or the code name, few and known before anybody asks.

    Attributes:
        what: they are, for the page of metrics, e.g. "the configured upstreams".
    """

    what: str


Values = type[Enum] | tuple[str, ...] | Named
"""An enum's values, a tuple of words, or names of the settings."""
Labels = tuple[str, ...]
"""The values of one series, in the family's order."""
Declared = Mapping[str, Values] | Sequence[str]
"""The labels of a family, in order, with what they may say."""


def vocabulary(values: Values) -> frozenset[str] | None:
    """The words a label may say; None where the settings name them."""
    if isinstance(values, Named):
        return None
    words = values if isinstance(values, tuple) else (str(each.value) for each in values)
    return frozenset(words)


class LabelSet:
    """The labels of one family."""

    __slots__ = ("_vocabularies", "names", "values")

    def __init__(self, declared: Declared) -> None:
        self.names: Labels = tuple(declared)
        self.values: Mapping[str, Values] = declared if isinstance(declared, Mapping) else {}
        self._vocabularies = tuple(
            vocabulary(self.values[name]) if name in self.values else None for name in self.names
        )

    def bounded(self, said: Labels) -> Labels:
        """The values as they are counted. Raises ValueError when there are too few or many."""
        if len(said) != len(self.names):
            raise ValueError(f"{len(said)} values for the labels {self.names}")
        return tuple(
            str(value) if words is None or value in words else OTHER
            for value, words in zip(said, self._vocabularies, strict=True)
        )

    @property
    def folded(self) -> Labels:
        """Where a family that is full counts the rest."""
        return (OTHER,) * len(self.names)
