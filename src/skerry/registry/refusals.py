"""Documents that an upstream gave, or a client pushed, and that are not what they should be.

Owns how they are counted and told (requirements S4; known failures T18, T20, T22). Decides nothing:
`core.manifests`, `core.referrers` and the bounds of what is read do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skerry.base.digest import Digest
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.manifests import InvalidManifest
from skerry.registry.ports import Repository
from skerry.telemetry.events import Events, Level
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.upstream.ports import Trouble, Unavailable

WHAT_CHARS_MAX = 400
_NOT_WHAT_IT_SAYS = frozenset({Code.DIGEST_INVALID, Code.MANIFEST_INVALID})


class Refusals:
    """Counts what the registry did not believe."""

    def __init__(self, failures: ValidationFailures, events: Events) -> None:
        self._failures = failures
        self._events = events

    @contextmanager
    def reading(self, repository: Repository, what: str | Digest) -> Iterator[None]:
        """While an upstream's manifest or list is fetched and read; lets every error through."""
        try:
            yield
        except InvalidManifest as error:
            self.manifest(repository, what, error.what)
            raise
        except Unavailable as error:
            for cause in error.causes:
                if cause.trouble is Trouble.TOO_LARGE:
                    self.manifest(repository, what, f"{cause.source} {cause.what}")
            raise

    def manifest(self, repository: Repository, what: str | Digest, why: str) -> None:
        """One that is not taken in."""
        self._failures.failed(Cause.MANIFEST_REFUSED)
        joint = "@" if isinstance(what, Digest) else ":"
        self._events.emit(
            "manifest.refused",
            f"{repository}{joint}{what}",
            cause=why[:WHAT_CHARS_MAX],
            next_step="look at what was published there; nothing of it was kept",
            level=Level.WARNING,
        )

    @contextmanager
    def pushing(self) -> Iterator[None]:
        """While a client writes; lets every error through, the client is told of it."""
        try:
            yield
        except RegistryError as error:
            if error.code in _NOT_WHAT_IT_SAYS:
                self._failures.failed(Cause.PUSH_REFUSED)
            raise
