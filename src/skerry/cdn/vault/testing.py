"""The vault's memory twin, and the conformance suite of the port.

Promise: `MemoryVault` behaves as the adapters do and injects only the faults that the tier promises
to survive:
- `down`: every call raises VaultUnavailable; `refused`: every call raises VaultRefused;
- `cut_after`: so many puts succeed, then the link is down;
- `flip_bit(name)`: one bit of an object turns, silently;
- `lose(name)`: an object is gone.
It never loses or changes an object otherwise. `objects` is what whoever runs the store can see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from skerry.cdn.ports import DataClass
from skerry.cdn.vault.ports import (
    NotPublic,
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    Offer,
    Vault,
    VaultRefused,
    VaultUnavailable,
    require_public,
)

READ_BYTES = 64 << 10

Check = Callable[[Vault], Awaitable[None]]


class MemoryVault:
    """`ports.Vault` in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.down = self.refused = False
        self.cut_after: int | None = None
        self.put_names: list[str] = []
        self.read_bytes = 0

    def flip_bit(self, name: str, at: int = -1) -> None:
        """Turns the lowest bit of one byte."""
        data = bytearray(self.objects[name])
        data[at] ^= 1
        self.objects[name] = bytes(data)

    def lose(self, name: str) -> None:
        del self.objects[name]

    async def put(self, offer: Offer, *, replace: bool = False) -> ObjectInfo:
        require_public(offer.data_class)
        self._answer()
        if self.cut_after is not None:
            if self.cut_after == 0:
                self.down = True
            self._answer()
            self.cut_after -= 1
        if not replace and offer.name in self.objects:
            raise ObjectExists("an object of that name is there already")
        self.put_names.append(offer.name)
        self.objects[offer.name] = offer.data
        return self._info(offer.name)

    async def head(self, name: str) -> ObjectInfo | None:
        self._answer()
        return self._info(name) if name in self.objects else None

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        self._answer()
        if name not in self.objects:
            raise ObjectMissing("there is no such object in the vault")
        data = self.objects[name][start:stop]
        for at in range(0, len(data), READ_BYTES):
            self._answer()
            self.read_bytes += len(data[at : at + READ_BYTES])
            yield data[at : at + READ_BYTES]

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        self._answer()
        for name in list(self.objects):
            if name.startswith(f"{prefix.rstrip('/')}/") or not prefix:
                yield self._info(name)

    async def delete(self, name: str) -> None:
        self._answer()
        self.objects.pop(name, None)

    async def close(self) -> None:
        """Nothing is open."""

    def _info(self, name: str) -> ObjectInfo:
        data = self.objects[name]
        return ObjectInfo(name, len(data), f"{hash(data):x}")

    def _answer(self) -> None:
        if self.down:
            raise VaultUnavailable("the vault does not answer", next_step="check the link")
        if self.refused:
            raise VaultRefused("the vault refuses this node", next_step="check the credentials")


def expect(truth: bool, what: str) -> None:
    """Raises AssertionError with a sentence."""
    if not truth:
        raise AssertionError(what)


def offer(name: str, data: bytes = b"sealed") -> Offer:
    """Something public."""
    return Offer(name, data, DataClass.PUBLIC)


async def read_all(vault: Vault, name: str, start: int = 0, stop: int = 1 << 40) -> bytes:
    """A range of an object. Raises what `Vault.read` raises."""
    return b"".join([chunk async for chunk in vault.read(name, start, stop)])


async def an_object_reads_as_it_was_written(vault: Vault) -> None:
    data = bytes(range(256)) * 1000
    put = await vault.put(offer("c/ab/one", data))
    expect(await read_all(vault, "c/ab/one") == data, "the whole")
    expect(await read_all(vault, "c/ab/one", 7, 300) == data[7:300], "a range")
    expect(await read_all(vault, "c/ab/one", 255_990) == data[255_990:], "the end")
    found = await vault.head("c/ab/one")
    expect(found == put, "head says what put said")
    expect(put.size_bytes == len(data), "the length is known")


async def what_is_there_is_not_overwritten_unless_it_is_meant(vault: Vault) -> None:
    await vault.put(offer("r/ab/one", b"first"))
    try:
        await vault.put(offer("r/ab/one", b"other"))
        expect(False, "a conditional put over an object is refused")
    except ObjectExists:
        pass
    expect(await read_all(vault, "r/ab/one") == b"first", "it is as it was")
    await vault.put(offer("r/ab/one", b"second"), replace=True)
    expect(await read_all(vault, "r/ab/one") == b"second", "replacing replaces")


async def what_is_not_there_is_said_so(vault: Vault) -> None:
    expect(await vault.head("c/ab/none") is None, "head of nothing is None")
    await vault.delete("c/ab/none")
    try:
        await read_all(vault, "c/ab/none")
        expect(False, "reading nothing is an error")
    except ObjectMissing:
        pass


async def objects_are_listed_by_whole_segments_and_deleted(vault: Vault) -> None:
    names = ["c/ab/one", "c/ab/one.00/000000", "c/ab/one.00/000001", "c/ac/two", "r/ab/x"]
    for name in names:
        await vault.put(offer(name))
    below = {info.name async for info in vault.list("c")}
    expect(below == set(names[:4]), f"what is below a prefix: {below}")
    parts = {info.name async for info in vault.list("c/ab/one.00")}
    expect(parts == set(names[1:3]), f"the parts of one: {parts}")
    expect({info.name async for info in vault.list("")} == set(names), "everything")
    await vault.delete("c/ab/one")
    expect(await vault.head("c/ab/one") is None, "what was deleted is gone")
    expect(await vault.head("c/ab/one.00/000000") is not None, "and nothing else")


async def what_is_not_public_is_refused_at_the_port(vault: Vault) -> None:
    for wrong in (DataClass.SENSITIVE, "public", "", None):
        smuggled = offer("c/ab/secret")
        object.__setattr__(smuggled, "data_class", wrong)
        try:
            await vault.put(smuggled)
            expect(False, f"{wrong!r} is refused")
        except NotPublic:
            pass
    expect([info async for info in vault.list("")] == [], "nothing was written")


CHECKS: tuple[Check, ...] = (
    an_object_reads_as_it_was_written,
    what_is_there_is_not_overwritten_unless_it_is_meant,
    what_is_not_there_is_said_so,
    objects_are_listed_by_whole_segments_and_deleted,
    what_is_not_public_is_refused_at_the_port,
)
