"""The meters beside requests: processor, disk, upstreams, vault, and the node itself.

Owns how each reading becomes usage. Reads what it is handed; a counter that fell was begun anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from skerry.budget.core.plan import Plan
from skerry.budget.core.sharing import by_misses, by_work, merged, share
from skerry.budget.core.usage import NODE, Amounts, Dimension, Meter

Used = Mapping[Dimension, Amounts]


class CpuProbe:
    """The processor time of the node's processes, shared out by work."""

    def __init__(self, read_microseconds: Callable[[], int]) -> None:
        """`read_microseconds` says what was used since it was called last."""
        self._read = read_microseconds

    def read(self, elapsed_seconds: float, used: Used) -> dict[Dimension, Amounts]:
        """See `Probe`."""
        return share(Meter.CPU_MICROSECONDS, self._read(), by_work(used))


class HeldProbe:
    """The disk, by who holds what, and the node's own time: both for as long as they are held."""

    def __init__(
        self, held_bytes: Callable[[], int], holders: Callable[[], Mapping[Dimension, int]]
    ) -> None:
        self._held_bytes = held_bytes
        self._holders = holders
        self._rest_micro = 0

    def read(self, elapsed_seconds: float, used: Used) -> dict[Dimension, Amounts]:
        """See `Probe`. What is less than a second is carried on."""
        self._rest_micro += max(0, round(elapsed_seconds * 1e6))
        seconds, self._rest_micro = divmod(self._rest_micro, 1_000_000)
        held = share(Meter.STORE_BYTE_SECONDS, self._held_bytes() * seconds, self._holders())
        own = {NODE: Amounts.of({Meter.NODE_SECONDS: seconds})} if seconds else {}
        return merged(held, own)


class UpstreamProbe:
    """What came in from upstreams and sites' origins, and how often they were asked.

    Shared out among those whose requests were not answered from here: by this beat's, or by the
    last there were, since a body comes after the miss it is for.
    """

    def __init__(
        self,
        plan: Callable[[], Plan],
        *,
        asked: Callable[[], Mapping[str, int]],
        received_bytes: Callable[[], Mapping[str, int]],
    ) -> None:
        """`asked` and `received_bytes` only rise, by the name of an upstream or site."""
        self._plan = plan
        self._counters = {Meter.PULLS: asked, Meter.INGRESS_BYTES: received_bytes}
        self._before: dict[tuple[Meter, str], int] = {}
        self._missed: dict[str, Mapping[Dimension, int]] = {}

    def read(self, elapsed_seconds: float, used: Used) -> dict[Dimension, Amounts]:
        """See `Probe`."""
        found: dict[Dimension, Amounts] = {}
        for meter, counter in self._counters.items():
            for name, count in counter().items():
                before = self._before.get((meter, name), 0)
                self._before[meter, name] = count
                grown = count - before if count >= before else count
                found = merged(found, share(meter, grown, self._who(name, used)))
        return found

    def _who(self, name: str, used: Used) -> Mapping[Dimension, int]:
        now = {who: count for who, count in by_misses(used, name).items() if count}
        if now:
            self._missed[name] = now
        return self._missed.get(name) or {self._plan().upstream(name): 1}


class VaultProbe:
    """Calls of the vault, shared out among the sites by their work."""

    def __init__(self, calls: Callable[[], int]) -> None:
        """`calls` only rises."""
        self._calls = calls
        self._before = 0

    def read(self, elapsed_seconds: float, used: Used) -> dict[Dimension, Amounts]:
        """See `Probe`."""
        calls = self._calls()
        grown, self._before = calls - self._before, calls
        sites = {who: weight for who, weight in by_work(used).items() if who.site}
        return share(Meter.VAULT_CALLS, max(0, grown), sites)
