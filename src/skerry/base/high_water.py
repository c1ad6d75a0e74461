"""Wall time that never reads behind what this node has already seen.

Owns how far time has come: whatever has once been seen to expire stays expired, though the clock
is set back, the machine starts without one, or the node is killed in between. For judging what
must outlive a restart (tokens, signatures, trust metadata); deadlines inside one process use
`Clock.monotonic`. Reads and writes nothing itself: the mark is a port.

What is saved lies ahead of what has been read, by `SAVE_SECONDS`, so that saving now and then is
enough. The price: after a crash time may stand still for so long before it goes on.
"""

from __future__ import annotations

from typing import Protocol

from skerry.base.clock import Clock

SAVE_SECONDS = 60.0
BEHIND_SECONDS = 5.0
"""How far a clock may be behind what was seen before that is worth a word."""


class Mark(Protocol):
    """Where the time that was seen outlives the process."""

    def read(self) -> float | None:
        """Seconds since the epoch; None when there is no mark, or none that can be read."""

    def write(self, at: float) -> None:
        """Returns once it is durable. Blocks; raises OSError."""


class HighWater:
    """The clock for expiries. `now` is what the node's own clock says until that goes back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen = 0.0
        self._anchor = (0.0, 0.0)
        self._saved = 0.0
        self._go_on_from(clock.now())

    def recall(self, at: float | None) -> None:
        """Takes up what an earlier process has saved, before anything is judged."""
        if at is None:
            return
        wall = self._clock.now()
        self._seen, self._saved = max(self._seen, at), at
        # A mark just ahead of a clock that is right is the reserve: time waits for the clock.
        self._go_on_from(wall if wall > at - 2 * SAVE_SECONDS else at)

    def now(self) -> float:
        """Seconds since the epoch, never less than before; goes on at a steady pace while the
        machine's clock is behind."""
        wall = self._clock.now()
        began, monotonic = self._anchor
        steady = began + self._clock.monotonic() - monotonic
        if wall > steady:
            self._go_on_from(wall)
        self._seen = max(self._seen, wall, steady)
        return self._seen

    def to_save(self) -> float | None:
        """What has to be written now so that nothing seen is lost; None while the last will do."""
        now = self.now()
        return now + SAVE_SECONDS if now + SAVE_SECONDS / 2 > self._saved else None

    def saved(self, at: float) -> None:
        """That this much is durable."""
        self._saved = at

    @property
    def behind_seconds(self) -> float:
        """How far the machine's clock is behind what was seen, reserve aside; 0 when it is not."""
        behind = self.now() - self._clock.now()
        return behind if behind > BEHIND_SECONDS + 2 * SAVE_SECONDS else 0.0

    def _go_on_from(self, at: float) -> None:
        self._anchor = (at, self._clock.monotonic())
