"""Memory twins of what the watch over domains stands on, and what each such thing must do.

Promised faults: authorities and registrars may know nothing, be out of reach, or answer anything
for a number of times; a book whose `full` is set refuses each save.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from skerry.base.digest import digest_of
from skerry.trust.core.delegation import Aspect, Caa, Delegation, Drift, Expected, Registration
from skerry.trust.core.domain_state import write_state
from skerry.trust.watch_ports import (
    Kept,
    RegistrarUnavailable,
    WatchBook,
    WatchUnusable,
    Zone,
)

Reopen = Callable[[], WatchBook]
"""The same book, opened anew as after a restart."""


class MemoryAuthorities:
    """Says what it is told to: `says` by domain; `once` goes first, one for each look."""

    def __init__(self) -> None:
        self.says: dict[str, Delegation] = {}
        self.once: list[Delegation] = []
        self.looks = 0

    async def look(self, zone: Zone) -> Delegation:
        self.looks += 1
        if self.once:
            return self.once.pop(0)
        return self.says.get(zone.domain, Delegation())


class MemoryRegistrars:
    """Knows `says` by domain; others cannot be had, and want to be asked in `again_seconds`."""

    def __init__(self) -> None:
        self.says: dict[str, Registration] = {}
        self.again_seconds: float | None = None
        self.asked = 0

    async def ask(self, domain: str) -> Registration:
        self.asked += 1
        if domain not in self.says:
            what = f"nobody tells about {domain}"
            raise RegistrarUnavailable(what, again_seconds=self.again_seconds)
        return self.says[domain]


class MemoryWatchBook:
    """Keeps the value."""

    def __init__(self) -> None:
        self.full = False
        self.saves = 0
        self._kept: dict[str, Kept] = {}

    def load(self) -> Mapping[str, Kept]:
        return dict(self._kept)

    async def save(self, kept: Mapping[str, Kept]) -> None:
        if self.full:
            raise WatchUnusable("the disk is full", next_step="free some")
        self.saves += 1
        self._kept = dict(kept)


_PAYLOAD = write_state(
    Expected(
        "example.org", 3, frozenset({"ns1.example.net"}), frozenset(),
        frozenset({Caa(0, "issue", "ca.example")}),
    ),
    made_at=1e9,
)  # fmt: skip
A_KEPT = Kept(
    payload=_PAYLOAD,
    digest=digest_of(_PAYLOAD),
    drifts=(Drift(Aspect.NS, 'the parent has "ä"'), Drift(Aspect.EXPIRY, "soon", holds=False)),
    registration=Registration(2e9, frozenset({"active", "client hold"})),
    registered_at=1.5e9,
)


async def a_new_book_is_empty(reopen: Reopen) -> None:
    assert dict(reopen().load()) == {}  # noqa: S101


async def what_was_saved_is_there_after_a_restart(reopen: Reopen) -> None:
    kept = {"example.org": A_KEPT, "example.net": Kept()}
    await reopen().save(kept)
    assert dict(reopen().load()) == kept  # noqa: S101


async def the_last_save_is_the_whole_truth(reopen: Reopen) -> None:
    book = reopen()
    await book.save({"example.org": A_KEPT, "example.net": A_KEPT})
    await book.save({"example.org": replace(A_KEPT, drifts=())})
    assert dict(reopen().load()) == {"example.org": replace(A_KEPT, drifts=())}  # noqa: S101


WATCH_BOOK_CHECKS: tuple[Callable[[Reopen], Awaitable[None]], ...] = (
    a_new_book_is_empty,
    what_was_saved_is_there_after_a_restart,
    the_last_save_is_the_whole_truth,
)
