"""The door of the site's resolver over real sockets: nobody's streams keep others out."""

from __future__ import annotations

import asyncio

from skerry.adapters.dns_door import STREAMS_EACH_MAX, DnsDoor
from skerry.aio.tasks import Nursery


class Echo:
    """Answers with the question."""

    async def answer(self, data: bytes, address: str, *, stream: bool) -> bytes | None:
        return data


async def _ask(port: int, own: str) -> tuple[bytes, asyncio.StreamWriter]:
    """Opens a stream from an address of this machine and asks; what came, and the open stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(own, 0))
    try:
        writer.write((12).to_bytes(2, "big") + b"q" * 12)
        return await reader.read(14), writer
    except ConnectionError:
        return b"", writer


async def test_who_holds_streams_open_keeps_no_other_client_out() -> None:
    nursery = Nursery(on_crash=lambda name, error: None)
    door = DnsDoor(Echo(), "127.0.0.1", 0, nursery=nursery)
    await door.open()
    held = []
    try:
        for _ in range(STREAMS_EACH_MAX):
            said, writer = await _ask(door.port, "127.0.0.2")
            held.append(writer)
            assert len(said) == 14
        for own, length in (("127.0.0.2", 0), ("127.0.0.3", 14)):
            said, writer = await _ask(door.port, own)
            held.append(writer)
            assert len(said) == length
    finally:
        for writer in held:
            writer.close()
        door.close()
        await nursery.close()
