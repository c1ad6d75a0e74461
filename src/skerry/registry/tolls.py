"""What a pull of something that is not here costs, and whom; and what is known to be nowhere.

Owns what is known of a thing before its upstream is asked: that it was absent a moment ago, that a
manifest here names it, that a tag list has it. Never charges what is here, nor what the node does
of its own (checks behind answers, companions, warming). Requirements D5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.registry.ports import Catalog, Repository
from skerry.upstream.core.absences import Absences
from skerry.upstream.core.shares import Standing
from skerry.upstream.misses import Misses, Payer, payer_of
from skerry.upstream.ports import Absent
from skerry.wire.message import Request

MANIFESTS, TAGS = "manifests/", "tags"
LOOK_AFTER = 8
"""So many names that one asker invented in one repository make its tag list worth a request."""

Place = tuple[Repository, str]
"""A repository, and what would be in it: `manifests/<reference>`, `blobs/<digest>`, ..."""
RegistryAbsences = Absences[Place]

Identify = Callable[[Request], str]
"""The name that a request has proven; "" for none."""


def nobody(request: Request) -> str:
    """No request has proven any name."""
    return ""


class Toll(Protocol):
    """What one request pays for one thing, if it comes to that."""

    def pay(self, size_bytes: int = 0) -> None:
        """Work is about to be done for it. Raises Spent; Absent when it is known to be nowhere."""

    def owe(self, size_bytes: int) -> None:
        """So many bytes come for it; what was paid for by its length is paid for."""

    def found_nothing(self, what: str) -> None:
        """There is no such thing; `what` says so, for people."""


class Free:
    """The node's own work."""

    def pay(self, size_bytes: int = 0) -> None:
        """Nothing."""

    def owe(self, size_bytes: int) -> None:
        """Nothing."""

    def found_nothing(self, what: str) -> None:
        """Nobody minds."""


FREE = Free()


class TagLists(Protocol):
    """What is known of the tags of repositories."""

    def has_tag(self, repository: Repository, name: str) -> bool | None:
        """Whether the upstream lists a tag; None when what is here does not tell."""

    def look_behind(self, repository: Repository, toll: Toll) -> None:
        """Asks for the list behind an answer, if that may tell and was not done just now."""


class ClientToll:
    """A client's."""

    def __init__(
        self,
        tolls: Tolls,
        payer: Callable[[], Payer],
        place: Place,
        standing: Callable[[], Standing | str],
    ) -> None:
        """`standing` says what is known of the thing: a sentence when it is nowhere."""
        self._tolls = tolls
        self._payer = payer
        self._place = place
        self._standing = standing
        self._owes = False

    def pay(self, size_bytes: int = 0) -> None:
        """See `Toll`."""
        repository = self._place[0]
        said = self._tolls.absences.find(self._place, self._tolls.clock.monotonic())
        standing = self._standing() if said is None else said
        if not isinstance(standing, Standing):
            raise Absent(standing)
        self._tolls.misses.charge(
            repository.upstream,
            self._payer(),
            topic=repository.name,
            standing=standing,
            size_bytes=size_bytes,
        )
        self._owes = not size_bytes

    def owe(self, size_bytes: int) -> None:
        """See `Toll`."""
        if not self._owes:
            return
        repository = self._place[0]
        self._tolls.misses.owe(
            repository.upstream, self._payer(), topic=repository.name, size_bytes=size_bytes
        )

    def found_nothing(self, what: str) -> None:
        """See `Toll`."""
        repository, thing = self._place
        payer = self._payer()
        asker = payer.asker
        owner, group = asker.identity or asker.network, str(repository)
        now = self._tolls.clock.monotonic()
        self._tolls.absences.note(self._place, what, owner=owner, group=group, now=now)
        self._tolls.misses.found_nothing(repository.upstream, payer)
        invented = self._tolls.absences.counted(group, owner)
        if thing.startswith(MANIFESTS) and invented >= LOOK_AFTER:
            # One page of names answers the rest of the flood from here.
            listed = ClientToll(self._tolls, self._payer, (repository, TAGS), _known)
            self._tolls.lists.look_behind(repository, listed)


def _known() -> Standing:
    return Standing.KNOWN


class Tolls:
    """Makes them."""

    def __init__(
        self,
        *,
        misses: Misses,
        absences: RegistryAbsences,
        catalog: Catalog,
        lists: TagLists,
        clock: Clock,
        identify: Identify,
    ) -> None:
        self.misses = misses
        self.absences = absences
        self.lists = lists
        self.clock = clock
        self._catalog = catalog
        self._identify = identify

    def tag(self, request: Request, repository: Repository, name: str) -> Toll:
        """For a manifest by tag: known when the upstream lists it."""

        def standing() -> Standing | str:
            listed = self.lists.has_tag(repository, name)
            if listed is None:
                return Standing.NEW
            if listed:
                return Standing.KNOWN
            return f"{repository} has no tag {name}: a moment ago its list had none"

        return self._toll(request, repository, f"{MANIFESTS}{name}", standing)

    def manifest(self, request: Request, repository: Repository, digest: Digest) -> Toll:
        """For a manifest by digest: known when something here names it."""
        known = partial(self._named, repository, digest)
        return self._toll(request, repository, f"{MANIFESTS}{digest}", known)

    def blob(self, request: Request, repository: Repository, digest: Digest) -> Toll:
        """For a blob: known when something here names it."""
        known = partial(self._named, repository, digest)
        return self._toll(request, repository, f"blobs/{digest}", known)

    def listing(self, request: Request, repository: Repository, subject: Digest | None) -> Toll:
        """For a tag list, or what refers to a subject: known when something is here of it."""

        def standing() -> Standing:
            if subject is not None:
                return self._named(repository, subject)
            held = any(True for _ in self._catalog.tags(repository))
            return Standing.KNOWN if held else Standing.NEW

        thing = TAGS if subject is None else f"referrers/{subject}"
        return self._toll(request, repository, thing, standing)

    def _named(self, repository: Repository, digest: Digest) -> Standing:
        held = self._catalog.is_member(repository, digest)
        return Standing.KNOWN if held else Standing.NEW

    def _toll(
        self,
        request: Request,
        repository: Repository,
        thing: str,
        standing: Callable[[], Standing | str],
    ) -> Toll:
        if repository.local:
            return FREE

        def payer() -> Payer:
            return payer_of(request, self._identify(request))

        return ClientToll(self, payer, (repository, thing), standing)
