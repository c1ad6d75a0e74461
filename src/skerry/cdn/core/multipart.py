"""Several ranges in one answer: whether, and how many bytes exactly.

Owns the judgement over a set of ranges (RFC 9110 sections 14.2 and 17.15) and the plan of a
`multipart/byteranges` answer (section 14.6). Never holds the content. The boundary comes from
outside and is drawn at random: 128 bits that no author of a content could foresee cannot be in it
(RFC 2046 section 5.1.1), and 10 GB need not be searched.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from skerry.base.errors import BadInput
from skerry.base.ranges import ByteRange, Unsatisfiable

OVERLAPPING_MAX = 2
"""Section 14.2: more overlapping ranges are a broken client or an attack."""
TINY_COUNT_MAX = 8
TINY_BYTES = 80
"""More ranges than that, shorter on average than the head of a part, and out of order."""
WHOLE_BYTES_MAX = 1 << 20
"""An abusive set over more than this is refused: the whole would serve the attack."""
ENTROPY_BYTES_MIN = 16
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""Section 5.5: visible characters, blanks, and the bytes above 127 that old origins send."""


@dataclass(frozen=True, slots=True)
class SendWhole:
    """Answer 200 as if there were no Range (section 14.2 lets a server ignore it)."""


@dataclass(frozen=True, slots=True)
class SendOne:
    """Answer 206 with one range, never as multipart (section 15.3.7.2)."""

    range: ByteRange


@dataclass(frozen=True, slots=True)
class SendSeveral:
    """Answer 206 as multipart, the ranges in the order asked for (section 15.3.7.2)."""

    ranges: tuple[ByteRange, ...]


@dataclass(frozen=True, slots=True)
class BodyPart:
    """The bytes before a range, and the range."""

    head: bytes
    range: ByteRange


@dataclass(frozen=True, slots=True)
class Multipart:
    """An answer's body as a plan: each part's head and range, then the tail.

    There is no Content-Range in the answer's own header (section 15.3.7.2).
    """

    content_type: str
    parts: tuple[BodyPart, ...]
    tail: bytes

    @property
    def content_length(self) -> int:
        """Bytes of the whole body, exact."""
        return sum(len(part.head) + part.range.size for part in self.parts) + len(self.tail)


Judgement = SendWhole | SendOne | SendSeveral | Unsatisfiable


def judge(ranges: Sequence[ByteRange]) -> Judgement:
    """What to send for satisfiable ranges of one representation, as parsed and in order.

    Up to `OVERLAPPING_MAX` overlapping ranges are coalesced (section 15.3.7.2), so that no byte is
    sent twice. More, or many tiny ones out of order, get the whole when it is small and 416 when
    it is not (section 15.5.17 names both as its reasons).
    """
    if not ranges:
        return SendWhole()
    total = ranges[0].total
    apart, overlapping = _coalesce(ranges)
    if overlapping > OVERLAPPING_MAX or _tiny_and_shuffled(ranges):
        return SendWhole() if total <= WHOLE_BYTES_MAX else Unsatisfiable(total)
    return SendOne(apart[0]) if len(apart) == 1 else SendSeveral(apart)


def boundary_of(entropy: bytes) -> str:
    """A boundary from at least 16 random bytes. Raises BadInput for fewer."""
    if len(entropy) < ENTROPY_BYTES_MIN:
        raise BadInput(f"a boundary needs {ENTROPY_BYTES_MIN} random bytes, not {len(entropy)}")
    return entropy[:24].hex()


def plan_multipart(
    ranges: Sequence[ByteRange], *, content_type: str | None, boundary: str
) -> Multipart:
    """The body for `ranges`. `content_type` is that of the representation, None when it has none.

    Raises BadInput for a content type that would break out of its line.
    """
    if content_type is not None and not _FIELD_VALUE.fullmatch(content_type):
        raise BadInput("the stored Content-Type holds what no field value may hold")
    kind = f"Content-Type: {content_type}\r\n" if content_type is not None else ""
    delimiter = f"--{boundary}\r\n{kind}"
    parts = tuple(
        BodyPart(
            f"{crlf}{delimiter}Content-Range: {item.content_range}\r\n\r\n".encode("latin-1"), item
        )
        for crlf, item in zip(
            itertools.chain(("",), itertools.repeat("\r\n")), ranges, strict=False
        )
    )
    return Multipart(
        f"multipart/byteranges; boundary={boundary}", parts, f"\r\n--{boundary}--\r\n".encode()
    )


def _coalesce(ranges: Sequence[ByteRange]) -> tuple[tuple[ByteRange, ...], int]:
    """Ranges that share a byte as one, at the place of the first asked; how many shared one."""
    order = sorted(range(len(ranges)), key=lambda index: ranges[index].start)
    groups: list[tuple[int, ByteRange]] = []
    sizes: list[int] = []
    for index in order:
        item = ranges[index]
        if groups and item.start < groups[-1][1].stop:
            first, merged = groups[-1]
            stop = max(merged.stop, item.stop)
            groups[-1] = (min(first, index), ByteRange(merged.start, stop, merged.total))
            sizes[-1] += 1
        else:
            groups.append((index, item))
            sizes.append(1)
    overlapping = sum(size for size in sizes if size > 1)
    return tuple(item for _, item in sorted(groups, key=lambda group: group[0])), overlapping


def _tiny_and_shuffled(ranges: Sequence[ByteRange]) -> bool:
    if len(ranges) <= TINY_COUNT_MAX:
        return False
    shuffled = any(a.start > b.start for a, b in itertools.pairwise(ranges))
    return shuffled and sum(item.size for item in ranges) < TINY_BYTES * len(ranges)
