"""What was asked for on the pages, and how far it is.

Owns the list, bounded; it is lost at a restart, the events are not. A job goes on when whoever
asked for it has left.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.errors import BadInput
from skerry.base.units import format_bytes
from skerry.dashboard.actions import Action, Call
from skerry.wire.message import Answer, BodyAborted, Piece

JOBS_MAX = 100
RUNNING_MAX = 8
LINE_BYTES_MAX = 1 << 20


@dataclass(slots=True)
class Job:
    """One of them. `began_at` is in seconds since the epoch, `said` the last word of it."""

    number: int
    title: str
    about: str
    by: str
    began_at: float
    said: str = ""
    next_step: str = ""
    done: bool = False
    failed: bool = False


Api = Callable[[Call], Awaitable[Answer]]
"""The admin API, for a request that was allowed."""


class Jobs:
    """Every job of the pages."""

    def __init__(self, *, clock: Clock, nursery: Nursery) -> None:
        self._clock = clock
        self._nursery = nursery
        self._jobs: deque[Job] = deque(maxlen=JOBS_MAX)
        self._count = 0

    def listed(self) -> tuple[Job, ...]:
        """The newest first."""
        return tuple(reversed(self._jobs))

    def start(self, action: Action, call: Call, *, about: str, by: str, api: Api) -> Job:
        """Begins one. Raises BadInput when too many run."""
        if sum(not job.done for job in self._jobs) >= RUNNING_MAX:
            raise BadInput("too much is running already", next_step="wait until something is done")
        self._count += 1
        job = Job(self._count, action.title, about, by, self._clock.now())
        self._jobs.append(job)
        self._nursery.start(self._run(job, api, call), name=f"job {job.number}")
        return job

    async def _run(self, job: Job, api: Api, call: Call) -> None:
        try:
            answer = await api(call)
            async for line in _lines(answer):
                _note(job, line)
            if answer.status >= 400:
                job.failed = True
        except BodyAborted:
            job.failed, job.said = True, "it broke off"
        except Exception:
            job.failed, job.said = True, "the node has a fault of its own"
            job.next_step = "its log has the traceback; please report it"
            raise
        finally:
            job.done = True


async def _lines(answer: Answer) -> AsyncIterator[bytes]:
    """What the API said, line by line."""
    body = answer.body
    if isinstance(body, bytes):
        yield body
    elif isinstance(body, AsyncIterator):
        rest = b""
        async for piece in body:
            rest += _bytes(piece)
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield line
            if len(rest) > LINE_BYTES_MAX:
                raise BodyAborted
        if rest:
            yield rest


def _bytes(piece: Piece) -> bytes:
    if isinstance(piece, bytes):
        return piece
    piece.close()
    raise BodyAborted


def _note(job: Job, line: bytes) -> None:
    """The last word of a job, in words."""
    said = json.loads(line or b"{}")
    if "error" in said:
        job.failed = True
        job.said, job.next_step = said["error"]["what"], said["error"]["next_step"]
        return
    job.failed = said.get("step") == "failed"
    job.said, job.next_step = said.get("what") or _summary(said), said.get("next_step", "")


def _summary(said: dict[str, object]) -> str:
    """The numbers and names of an answer that say something by themselves."""
    receipt = said.get("receipt")
    if isinstance(receipt, dict):
        count = receipt.get("object_count", 0)
        objects = "1 object" if count == 1 else f"{count} objects"
        return f"purged {objects}, receipt {receipt.get('sequence', '')}"
    if "checked_count" in said:
        return _scrubbed(said)
    parts = []
    for name, value in said.items():
        if name.endswith("_bytes") and isinstance(value, int):
            parts.append(f"{name.removesuffix('_bytes')} {format_bytes(value)}")
        elif name.endswith("_count") and isinstance(value, int):
            parts.append(f"{name.removesuffix('_count')} {value}")
        elif name == "step":
            parts.insert(0, str(value))
        elif name == "pinned":
            parts.append("pinned" if value else "not pinned any more")
    return ", ".join(part for part in parts if part != "done")


def _scrubbed(said: dict[str, object]) -> str:
    """How far every byte is checked, and what was wrong."""
    checked, total = (said.get(name) for name in ("checked_bytes", "total_bytes"))
    sizes = " of ".join(format_bytes(each) for each in (checked, total) if isinstance(each, int))
    corrupt, healed = said.get("corrupt_count", 0), said.get("healed_count", 0)
    found = f"{corrupt} rotten, {healed} of them healed" if corrupt else "all sound so far"
    if said.get("step") == "done" and not corrupt:
        found = "all sound"
    return f"checked {said['checked_count']} blobs, {sizes}: {found}"
