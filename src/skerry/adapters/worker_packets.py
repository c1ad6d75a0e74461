"""What the main process and its workers tell each other, as bytes.

Owns the shapes. Both ends are always the same version of this program, so they carry none.

One request on a line:
    worker                               main
    ASK                          ->
                                 <-      WANT            as often as the body is read
    CHUNK | END | BROKEN         ->                      one for each WANT
                                 <-      INTERIM*
                                 <-      HEAD            bytes: with the body or its first piece
                                 <-      CHUNK*            and the rest of it
                                                         file: with its descriptor
                                 <-      GROWN*            how far it may be sent, till its end
                                 <-      (CHUNK | PART GROWN*)* END      stream
                                 <-      BROKEN          at any time: there will be no more
                                 <-      FAILED          instead of HEAD: the handler raised

After a HEAD of the shape TUNNEL: WANT and CHUNK | END | BROKEN for what the client sends; CHUNK,
with TAKEN back for each, and END for what it is sent; OVER from main, and the line is free.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

import msgspec

from skerry.adapters.http_hot_way import HotFields
from skerry.adapters.http_server_metrics import DoorStatistics
from skerry.adapters.http_server_state import DoorLimits
from skerry.adapters.http_server_tls import TlsNames
from skerry.wire.message import Aging, Hot, HotUses, PeerCertificate

Fields = tuple[tuple[str, str], ...]
"""A head's fields in order."""


class Kind(IntEnum):
    ASK = 1
    WANT = 2
    CHUNK = 3
    END = 4
    BROKEN = 5
    INTERIM = 6
    HEAD = 7
    GROWN = 8
    PART = 9
    FAILED = 10
    TAKEN = 11
    OVER = 12
    # The first line of a worker, on which it is led:
    SETUP = 20
    OPENED = 21
    LINE = 22
    REPORT = 23
    FORGET = 24
    STOP = 25
    CERTIFICATES = 26


class Shape(IntEnum):
    """What an answer's body is."""

    BYTES = 0
    FILE = 1
    STREAM = 2
    TUNNEL = 3


class Packed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A value in a packet."""


class Ask(Packed, frozen=True, array_like=True, gc=False):
    """A request. `door` is its number in `Setup.doors`; `has_body` says whether to WANT any."""

    door: int
    method: str
    path: str
    raw_path: str
    query: str
    fields: Fields
    client: str
    scheme: str
    has_body: bool
    interim: bool
    client_port: int = 0
    certificate: PeerCertificate | None = None


class Leave(Packed, frozen=True, array_like=True, gc=False):
    """`wire.message.Hot` as data. Uses are told by `number`; `aging` is at, age, ttl."""

    number: int
    valid_until: float
    about: tuple[str, ...]
    aging: tuple[float, float, float] | None
    fields: tuple[str, ...]
    whole_bytes: int | None

    @classmethod
    def of(cls, hot: Hot, number: int) -> Leave:
        """A leave on its way; times stay true, the monotonic clock is the machine's."""
        at = hot.aging
        aging = None if at is None else (at.at, at.age_seconds, at.ttl_seconds)
        return cls(number, hot.valid_until, hot.about, aging, hot.fields, hot.whole_bytes)

    def to_hot(self, hit: HotUses) -> Hot:
        """The leave as it was given."""
        aging = None if self.aging is None else Aging(*self.aging)
        return Hot(self.valid_until, hit, self.about, aging, self.fields, self.whole_bytes)


class Part(Packed, frozen=True, array_like=True, gc=False):
    """A file, or a part of one, whose descriptor is with the packet; `end` may be sent now."""

    offset: int
    size: int
    end: int


NO_PART = Part(0, 0, 0)


class Head(Packed, frozen=True, array_like=True, gc=False):
    """An answer without its body.

    Attributes:
        last: nothing follows.
        size: of a body of bytes.
        body: a body of bytes, or its first piece.
        part: a body that is a file.
        sent: by which number its bytes are told of as they leave; 0 where nobody counts them.
    """

    status: int
    fields: Fields
    shape: int
    last: bool
    size: int = 0
    body: bytes = b""
    part: Part = NO_PART
    leave: Leave | None = None
    sent: int = 0


class InterimHead(Packed, frozen=True, array_like=True, gc=False):
    """An answer before the final one."""

    status: int
    fields: Fields


class Grown(Packed, frozen=True, array_like=True, gc=False):
    """A file may be sent up to this offset."""

    end: int


class DoorSetup(Packed, frozen=True, array_like=True, gc=False):
    """A door a worker opens; as many descriptors as `sockets` say are its own."""

    name: str
    hot_fields: HotFields
    plain_refusals: bool
    tls: TlsNames | None
    sockets: int


class Setup(Packed, frozen=True, array_like=True, gc=False):
    """What a worker is told first, with the page of orders and its doors' sockets.

    `order` is the count of orders so far: its tables are empty, so it has obeyed them all.
    """

    order: int
    doors: tuple[DoorSetup, ...]
    limits: DoorLimits


class Report(Packed, frozen=True, array_like=True, gc=False):
    """What a worker tells once a second: its doors, and (number, uses, body bytes) of leaves; of a
    body of the full way its number, 1 once it has ended, and the bytes that left."""

    doors: tuple[DoorStatistics, ...]
    uses: tuple[tuple[int, int, int], ...]


class Forget(Packed, frozen=True, array_like=True, gc=False):
    """What has to be forgotten so that all orders up to `order` are obeyed."""

    order: int
    everything: bool
    about: tuple[str, ...]


class Stop(Packed, frozen=True, array_like=True, gc=False):
    """Close the doors; what is under way has so long."""

    drain_seconds: float


class Shown(Packed, frozen=True, array_like=True, gc=False):
    """Show other certificates at a door from now on."""

    door: int
    names: TlsNames


P = TypeVar("P", bound=Packed)
# A client library may give names of fields in a class of its own, derived from str.
_encoder = msgspec.msgpack.Encoder(enc_hook=str)


def pack(kind: Kind, value: Packed | None = None) -> bytes:
    """One packet."""
    head = kind.to_bytes()
    return head if value is None else head + _encoder.encode(value)


def pack_chunk(data: bytes) -> bytes:
    """A piece of a body."""
    return b"\x03" + data


def unpack(packet: bytes, kind: type[P]) -> P:
    """The value of a packet. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(memoryview(packet)[1:], type=kind)
