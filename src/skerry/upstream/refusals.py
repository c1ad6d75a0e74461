"""What a source said and was not believed: counted by cause, told with the next step.

Owns the kinds of these events. Decides nothing: `core.guard`, `core.redirect` and the resolver at
the moment of connecting do (requirements S4; known failures T1-T5).
"""

from __future__ import annotations

from skerry.telemetry.events import Events, Level
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.upstream.ports import TransportError, Trouble


class Refusals:
    """The refusals of one source; `subject` is its name, `upstream/source`."""

    def __init__(self, failures: ValidationFailures, events: Events, subject: str) -> None:
        self._failures = failures
        self._events = events
        self._subject = subject

    def count(self, cause: Cause) -> None:
        """Counts one that is told of elsewhere."""
        self._failures.failed(cause)

    def realm(self, what: str, next_step: str) -> None:
        """A token service that may not be asked."""
        self._refuse(Cause.REALM_REFUSED, "credentials.withheld", what, next_step)

    def redirect(self, what: str) -> None:
        """A redirect that is not followed."""
        step = "find out why it redirects there; list the host in redirect_hosts to trust it"
        self._refuse(Cause.REDIRECT_REFUSED, "redirect.refused", what, step)

    def dialled(self, error: TransportError) -> None:
        """A request that failed: told only when its name led to an inside address."""
        if error.trouble is Trouble.FORBIDDEN_ADDRESS:
            step = "find out who answers for that name; list the host in the settings to trust it"
            self._refuse(Cause.ADDRESS_REFUSED, "address.refused", error.what, step)

    def answered(self, trouble: Trouble) -> None:
        """An answer that is none: a page of a captive portal, a coding nobody asked for, framing
        that can be read in two ways. The gate tells of its source's troubles."""
        if trouble in (Trouble.PROTOCOL, Trouble.TOO_LARGE):
            self._failures.failed(Cause.ANSWER_REFUSED)

    def _refuse(self, cause: Cause, kind: str, what: str, next_step: str) -> None:
        self._failures.failed(cause)
        self._events.emit(kind, self._subject, cause=what, next_step=next_step, level=Level.WARNING)
