"""What an operator can have the vault do, and its routes at the admin door.

Owns the plain values of the answers. Decides nothing: that is `cdn.vault`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skerry.app.admin.replies import Routes, json_answer, read_body, stream_answer
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:
    from skerry.cdn.vault.assembly import VaultRooms
    from skerry.cdn.vault.care import Care
    from skerry.cdn.vault.restoring import Restoring
    from skerry.cdn.vault.told import Told, Wanted

BEAT_COUNT = 20
"""Lines of progress that are one when nothing happened in between."""


class CareRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/vault/verify, repair and restore.

    `percent` of the copies, no more than `bytes_max` of bodies; `plan` reads nothing. `bodies`
    brings them to the disk when restoring.
    """

    percent: float = 100.0
    bytes_max: int | None = None
    plan: bool = False
    bodies: bool = False


@dataclass(frozen=True, slots=True)
class VaultStatus:
    """The vault at one moment. Times are seconds since the epoch, sizes bytes.

    Attributes:
        url: where it is; credentials are in no URL.
        trouble: why nothing is sent to it now, "" when all is well.
        oldest_due_at: when the copy that waits longest was to be sent; 0 when none waits.
        plain_bytes: of the bodies whose copies are confirmed.
    """

    url: str
    key_file: str
    trouble: str
    there_count: int
    waiting_count: int
    leaving_count: int
    content_count: int
    plain_bytes: int
    oldest_due_at: float
    sent_count: int
    sent_bytes: int
    removed_count: int
    failed_count: int
    dropped_count: int
    given_count: int


class VaultDesk:
    """The vault of one node, to its operator."""

    def __init__(
        self,
        rooms: VaultRooms,
        care: Care,
        restoring: Restoring,
        *,
        url: str,
        key_file: Path,
    ) -> None:
        self._rooms = rooms
        self._care = care
        self._restoring = restoring
        self._url = url
        self._key_file = key_file

    @property
    def healer(self) -> Care:
        """Fetches a body again that this disk has lost."""
        return self._care

    def status(self) -> VaultStatus:
        """Counts, and what is wrong."""
        rooms = self._rooms
        copies, work = rooms.copies.statistics(), rooms.writeback.statistics()
        return VaultStatus(
            url=self._url,
            key_file=str(self._key_file),
            trouble=work.trouble,
            there_count=copies.there_count,
            waiting_count=copies.waiting_count + work.pending_count,
            leaving_count=copies.leaving_count,
            content_count=copies.content_count,
            plain_bytes=copies.plain_bytes,
            oldest_due_at=copies.oldest_waiting_at,
            sent_count=work.sent_count,
            sent_bytes=work.sent_bytes,
            removed_count=work.removed_count,
            failed_count=work.failed_count,
            dropped_count=work.dropped_count,
            given_count=rooms.tier.statistics().given_count,
        )

    def verify(self, asked: CareRequest, *, heal: bool) -> AsyncIterator[Told]:
        """What is being compared, line by line. Raises BadInput, VaultUnavailable, VaultRefused."""
        return _thinned(self._care.verify(_wanted(asked), heal=heal))

    def restore(self, asked: CareRequest) -> AsyncIterator[Told]:
        """What is being taken back, line by line. Raises as `verify`."""
        if asked.percent != 100.0:
            raise BadInput("a part of a vault cannot be restored", next_step="leave percent out")
        wanted = _wanted(asked)
        return _thinned(self._restoring.restore(wanted, bodies=asked.bodies))


def vault_routes(desk: VaultDesk | None) -> Routes:
    """The routes of the admin door that are about the vault."""

    def here() -> VaultDesk:
        if desk is None:
            raise SkerryError(
                "this node has no vault",
                next_step="describe one: [vault] in docs/reference/settings.md",
                party=Party.OPERATOR,
            )
        return desk

    async def status(request: Request) -> Answer:
        return json_answer(here().status())

    async def verify(request: Request) -> Answer:
        asked = await read_body(request, CareRequest)
        return await stream_answer(here().verify(asked, heal=False))

    async def repair(request: Request) -> Answer:
        asked = await read_body(request, CareRequest)
        return await stream_answer(here().verify(asked, heal=True))

    async def restore(request: Request) -> Answer:
        asked = await read_body(request, CareRequest)
        return await stream_answer(here().restore(asked))

    return {
        "/api/v1/vault": {"GET": status},
        "/api/v1/vault/verify": {"POST": verify},
        "/api/v1/vault/repair": {"POST": repair},
        "/api/v1/vault/restore": {"POST": restore},
    }


def _wanted(asked: CareRequest) -> Wanted:
    from skerry.cdn.vault.told import Wanted

    if not 0 < asked.percent <= 100:
        raise BadInput("percent is out of bounds", next_step="send more than 0, up to 100")
    if asked.bytes_max is not None and asked.bytes_max < 0:
        raise BadInput("bytes_max is negative", next_step="leave it out for no cap")
    return Wanted(asked.percent / 100, asked.bytes_max, asked.plan)


async def _thinned(lines: AsyncIterator[Told]) -> AsyncIterator[Told]:
    """Of mere progress only every so many lines."""
    passed = 0
    async with aclosing(lines) as each:  # type: ignore[type-var]
        async for line in each:
            passed = passed + 1 if line.step == "progress" else 0
            if passed % BEAT_COUNT <= 1:
                yield line
