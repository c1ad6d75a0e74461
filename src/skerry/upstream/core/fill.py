"""One missing content: which place to ask, from which byte, and when to give up.

Owns the decision, as a table of states and events. Never touches a socket, a file or a clock.
Design section 4; known failures T10, T13, T35.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from skerry.upstream.ports import Cause, Trouble

SIZE_BYTES_MAX = 1 << 37
"""No content of a registry or a cache is longer than 128 GiB; a longer claim is a lie."""
RESUMES_MAX = 2
"""How often one place may be resumed before it has given `PROGRESS_BYTES` again."""
PROGRESS_BYTES = 1 << 20
"""A place that gave this much since it was opened has earned its resumes back: over a line that
drops every few seconds a large layer must still arrive. The size bounds the number of tries."""


class State(StrEnum):
    IDLE = "idle"
    OPENING = "opening"
    STREAMING = "streaming"
    PROVING = "proving"
    DONE = "done"
    FAILED = "failed"


class Verdict(StrEnum):
    """What one place said when it gave nothing."""

    ABSENT = "absent"
    DENIED = "denied"
    TROUBLE = "trouble"


class Outcome(StrEnum):
    """Why a fill failed. Bounded: used as a metric label."""

    ABSENT = "absent"
    DENIED = "denied"
    UNAVAILABLE = "unavailable"
    WRONG_CONTENT = "wrong_content"
    NOT_WRITTEN = "not_written"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Somebody asks for the content."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The place in use has begun to answer. `coding` is its Content-Encoding, "" for none."""

    offset_bytes: int
    size_bytes: int | None
    coding: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """This many bytes more have come."""

    count_bytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The body ended without an error."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The place did not answer, or its body broke."""

    trouble: Trouble
    what: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The place answered that it will not give the content: ABSENT or DENIED."""

    verdict: Verdict
    what: str


@dataclass(frozen=True, slots=True)
class Unwritable:
    """What was received cannot be put anywhere: the disk is full, or the only reader left."""


@dataclass(frozen=True, slots=True)
class Proven:
    """Length and digest agree; the content is kept."""


@dataclass(frozen=True, slots=True)
class Mismatched:
    """The bytes are not what their name says."""


Event = (
    Wanted | Opened | Received | Ended | Lost | Refused | Unwritable | Proven | Mismatched
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Open:
    """Ask the place of this index for the content from an offset."""

    place: int
    offset_bytes: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Make somewhere to write to: the first byte is here."""

    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Write:
    """Keep what was just received, but for its first bytes, which are here already."""

    skip_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Close:
    """Let the open place go."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Tell a place that what it gave is wrong."""

    place: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Prove what was received, and keep it."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Give up: abort every reader, keep nothing."""

    outcome: Outcome
    causes: tuple[Cause, ...] = ()


Command = Open | Begin | Write | Close | Mark | Commit | Fail


@dataclass(frozen=True, slots=True)
class Fill:
    """Where one fill is.

    Attributes:
        places: names of the places, in the order they are tried.
        at: index of the place in use.
        received_bytes: how much of the content is written.
        size_bytes: its whole length, once known.
        binding: whether `size_bytes` may no longer change: the asker knows it, or a reader
            may have been told.
        told: whether `size_bytes` is the asker's word: a place that says otherwise is passed over
            without blame, since a manifest may lie, too. `said_bytes` is the place's own word.
        skip_bytes: how much of what comes next is here already (the place ignored the range).
        opened_at_bytes: `received_bytes` when the place was last opened.
        resumes: how often the place was resumed since it last made real progress.
        givers: indexes of the places whose bytes were written.
        verdicts: what the places that were given up said.
        causes: why they were given up.
    """

    places: tuple[str, ...]
    state: State = State.IDLE
    at: int = 0
    received_bytes: int = 0
    size_bytes: int | None = None
    binding: bool = False
    begun: bool = False
    told: bool = False
    said_bytes: int | None = None
    skip_bytes: int = 0
    opened_at_bytes: int = 0
    resumes: int = 0
    givers: frozenset[int] = frozenset()
    verdicts: frozenset[Verdict] = frozenset()
    causes: tuple[Cause, ...] = ()
    size_bytes_max: int = SIZE_BYTES_MAX


Step = tuple[Fill, list[Command]]


class IllegalEvent(Exception):
    """An event that cannot happen in this state: a bug in the shell."""


def wanted(
    places: tuple[str, ...], size_bytes: int | None = None, *, size_bytes_max: int = SIZE_BYTES_MAX
) -> Fill:
    """A fill that has not begun. `size_bytes` is the length the asker already knows."""
    return Fill(
        places,
        size_bytes=size_bytes,
        binding=size_bytes is not None,
        told=size_bytes is not None,
        size_bytes_max=size_bytes_max,
    )


def _open_here(fill: Fill, _: Event) -> Step:
    """Asks the place at hand for what is missing, or gives up when there is none."""
    if fill.at >= len(fill.places):
        failed = replace(fill, state=State.FAILED)
        return failed, [Fail(_outcome(fill.verdicts), fill.causes)]
    received = fill.received_bytes
    opening = replace(fill, state=State.OPENING, opened_at_bytes=received, skip_bytes=0)
    # Resume by range: what was received is already hashed into the spool.
    return opening, [Open(fill.at, fill.received_bytes)]


def _accept(fill: Fill, event: Event) -> Step:
    assert isinstance(event, Opened)  # noqa: S101  the table guarantees it
    if lie := _lie(fill, event):
        return _pass_over(fill, lie, blame=True)
    if mismatch := _mismatch(fill, event.size_bytes):
        return _pass_over(fill, mismatch, blame=fill.binding and not fill.told)
    if (event.size_bytes or 0) > fill.size_bytes_max:
        what = f"says the content is {event.size_bytes} bytes long"
        return _pass_over(fill, what, blame=False, why=Trouble.TOO_LARGE)
    size = fill.size_bytes if fill.binding else event.size_bytes
    streaming = replace(
        fill,
        state=State.STREAMING,
        size_bytes=size,
        said_bytes=event.size_bytes,
        binding=fill.binding or (fill.received_bytes > 0 and size is not None),
        skip_bytes=fill.received_bytes - event.offset_bytes,
    )
    return _prove(streaming, []) if streaming.received_bytes == size else (streaming, [])


def _lie(fill: Fill, event: Opened) -> str:
    """Why an answer's head is wrong, whatever is asked for; "" when it may do."""
    if event.coding.strip().lower() not in ("", "identity"):
        # The digest names the bytes as they are; nobody asked for a coding (T13).
        return f"answered with Content-Encoding {event.coding}"
    if not 0 <= event.offset_bytes <= fill.received_bytes:
        return f"answered from byte {event.offset_bytes} instead of {fill.received_bytes}"
    size = event.size_bytes
    if size is not None and not 0 <= size <= SIZE_BYTES_MAX:
        return f"says the content is {size} bytes long, which cannot be"
    return ""


def _mismatch(fill: Fill, size: int | None) -> str:
    """Why a length that a place says does not fit what is known; "" when it does."""
    if size is not None and fill.binding and size != fill.size_bytes:
        return f"says the content is {size} bytes long, not {fill.size_bytes}"
    if size is not None and size < fill.received_bytes:
        return f"says the content is {size} bytes long, which does not fit"
    return ""


def _receive(fill: Fill, event: Event) -> Step:
    assert isinstance(event, Received)  # noqa: S101
    skipped = min(fill.skip_bytes, event.count_bytes)
    if skipped:
        fill = replace(fill, skip_bytes=fill.skip_bytes - skipped)
    received = fill.received_bytes + event.count_bytes - skipped
    most = fill.size_bytes_max if fill.size_bytes is None else fill.size_bytes
    if received > most and fill.size_bytes is None:
        return _pass_over(fill, f"gave more than {most} bytes", blame=False, why=Trouble.TOO_LARGE)
    if received > most:
        return _pass_over(fill, f"gave more than {most} bytes", blame=fill.said_bytes is not None)
    if received == fill.received_bytes:
        return fill, []
    binding, commands = _begin(fill)
    commands.append(Write(skipped))
    givers = fill.givers | {fill.at}
    fill = replace(fill, received_bytes=received, givers=givers, begun=True, binding=binding)
    # The last byte is the end, whether or not the place gets to say so.
    return _prove(fill, commands) if received == fill.size_bytes else (fill, commands)


def _end(fill: Fill, _: Event) -> Step:
    if fill.skip_bytes:
        return _pass_over(fill, f"gave less than {fill.received_bytes} bytes", blame=True)
    if fill.size_bytes is not None:
        what = f"ended after {fill.received_bytes} of {fill.size_bytes} bytes"
        return _lose(fill, Lost(Trouble.CUT, what))
    return _prove(fill, [])


def _lose(fill: Fill, event: Event) -> Step:
    """A cut body goes on at the same place while that place makes progress, else at the next."""
    assert isinstance(event, Lost)  # noqa: S101
    close: list[Command] = [Close()] if fill.state is State.STREAMING else []
    gained = fill.received_bytes - fill.opened_at_bytes
    resumes = 0 if gained >= PROGRESS_BYTES else fill.resumes
    if gained > 0 and resumes < RESUMES_MAX:
        fill, commands = _open_here(replace(fill, resumes=resumes + 1), event)
        return fill, close + commands
    return _move_on(fill, close, Verdict.TROUBLE, event.trouble, event.what)


def _refuse(fill: Fill, event: Event) -> Step:
    assert isinstance(event, Refused)  # noqa: S101
    trouble = Trouble.DENIED if event.verdict is Verdict.DENIED else None
    return _move_on(fill, [], event.verdict, trouble, event.what)


def _pass_over(fill: Fill, what: str, *, blame: bool, why: Trouble = Trouble.WRONG_CONTENT) -> Step:
    first: list[Command] = [Close(), Mark(fill.at)] if blame else [Close()]
    return _move_on(fill, first, Verdict.TROUBLE, why, what)


def _move_on(
    fill: Fill, first: list[Command], verdict: Verdict, trouble: Trouble | None, what: str
) -> Step:
    """Notes why the place at hand is given up and asks the next one."""
    cause = () if trouble is None else (Cause(fill.places[fill.at], trouble, what),)
    verdicts, causes = fill.verdicts | {verdict}, fill.causes + cause
    fill = replace(fill, at=fill.at + 1, resumes=0, verdicts=verdicts, causes=causes)
    fill, commands = _open_here(fill, Wanted())
    return fill, first + commands


def _outcome(verdicts: frozenset[Verdict]) -> Outcome:
    """One place in trouble might have had it: only when all say no is it absent (never a 404)."""
    if not verdicts or Verdict.TROUBLE in verdicts:
        return Outcome.UNAVAILABLE
    return Outcome.DENIED if Verdict.DENIED in verdicts else Outcome.ABSENT


def _begin(fill: Fill) -> tuple[bool, list[Command]]:
    """What the first byte, or the end without one, makes of `binding`, and has done."""
    if fill.begun:
        return fill.binding, []
    # From now on readers may be told the length.
    return fill.size_bytes is not None, [Begin(fill.size_bytes)]


def _prove(fill: Fill, commands: list[Command]) -> Step:
    binding, begin = _begin(fill)
    size = fill.received_bytes
    proving = replace(fill, state=State.PROVING, size_bytes=size, begun=True, binding=binding)
    return proving, [*begin, *commands, Close(), Commit()]


def _finish(fill: Fill, _: Event) -> Step:
    return replace(fill, state=State.DONE), []


def _reject(fill: Fill, _: Event) -> Step:
    """Wrong bytes: nobody can tell which giver lied, so all are marked; nothing is tried again."""
    givers = sorted(fill.givers | {fill.at})  # who gave nothing and called it whole lied too
    causes = tuple(
        Cause(fill.places[place], Trouble.WRONG_CONTENT, "gave bytes that fail their digest")
        for place in givers
    )
    marks: list[Command] = [Mark(place) for place in givers]
    failed = replace(fill, state=State.FAILED, causes=fill.causes + causes)
    return failed, [*marks, Fail(Outcome.WRONG_CONTENT, failed.causes)]


def _unwritable(fill: Fill, _: Event) -> Step:
    failed = replace(fill, state=State.FAILED)
    return failed, [Close(), Fail(Outcome.NOT_WRITTEN, fill.causes)]


Rule = Callable[[Fill, Event], Step]

RULES: Mapping[State, Mapping[type[Event], Rule]] = {
    State.IDLE: {Wanted: _open_here},
    State.OPENING: {Opened: _accept, Lost: _lose, Refused: _refuse},
    State.STREAMING: {Received: _receive, Ended: _end, Lost: _lose, Unwritable: _unwritable},
    State.PROVING: {Proven: _finish, Mismatched: _reject, Unwritable: _unwritable},
    State.DONE: {},
    State.FAILED: {},
}


def step(fill: Fill, event: Event) -> Step:
    """What happens next. Raises IllegalEvent for an event that has no rule in this state."""
    rule = RULES[fill.state].get(type(event))
    if rule is None:
        raise IllegalEvent(f"{type(event).__name__} while {fill.state.value}")
    return rule(fill, event)
