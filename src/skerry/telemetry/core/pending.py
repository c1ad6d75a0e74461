"""What counters rose by since the last bundle, over the deaths of the node.

Owns the sum: what the life before had counted and not yet bundled, and what this one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Pending:
    """`base` is what this life's counters said at the last bundle, `before` what lives before had
    left over; `sequence` is the number of that last bundle."""

    sequence: int = 0
    base: Counts = field(default_factory=dict)
    before: Counts = field(default_factory=dict)

    def rise(self, now: Counts) -> dict[str, int]:
        """What is to be bundled when this life's counters say `now`; no zeros."""
        found = dict(self.before)
        for name, value in now.items():
            grown = value - self.base.get(name, 0)
            if grown > 0:
                found[name] = found.get(name, 0) + grown
        return found

    def bundled(self, sequence: int, now: Counts) -> Pending:
        """After a bundle of that number took all of it."""
        return Pending(sequence, dict(now))


def taken_up(left: Counts, *, of: int, last_sequence: int) -> Pending:
    """At the start of a life: what the one before had not bundled.

    `of` is the bundle after which that was counted: a bundle that came later has it already.
    """
    return Pending(last_sequence, before=dict(left) if of == last_sequence else {})
