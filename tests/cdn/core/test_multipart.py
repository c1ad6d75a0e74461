"""Several ranges in one answer."""

from __future__ import annotations

from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.errors import BadInput
from skerry.base.ranges import ByteRange, Unsatisfiable, parse_range
from skerry.cdn.core.multipart import (
    WHOLE_BYTES_MAX,
    SendOne,
    SendSeveral,
    SendWhole,
    boundary_of,
    judge,
    plan_multipart,
)

LARGE = 10 << 30


def ranges(header: str, total: int = 1000) -> tuple[ByteRange, ...]:
    found = parse_range(f"bytes={header}", total)
    assert isinstance(found, tuple)
    return found


def body(parts: tuple[ByteRange, ...], content: bytes, kind: str | None = "video/mp4") -> bytes:
    plan = plan_multipart(parts, content_type=kind, boundary="b" * 32)
    made = b"".join(p.head + content[p.range.start : p.range.stop] for p in plan.parts) + plan.tail
    assert len(made) == plan.content_length
    return f"Content-Type: {plan.content_type}\r\n\r\n".encode() + made


def test_one_range_is_never_multipart() -> None:
    assert judge(ranges("5-9")) == SendOne(ByteRange(5, 10, 1000))


def test_a_hundred_ranges_as_an_updater_sends_them() -> None:
    content = bytes(n % 251 for n in range(50_000))
    wanted = tuple(ByteRange(n * 500, n * 500 + 300, len(content)) for n in range(100))
    assert judge(wanted) == SendSeveral(wanted)
    message = message_from_bytes(body(wanted, content))
    parts = message.get_payload()
    assert isinstance(parts, list)
    assert len(parts) == 100
    for part, item in zip(parts, wanted, strict=True):
        assert part["Content-Range"] == item.content_range
        assert part["Content-Type"] == "video/mp4"
        assert part.get_payload(decode=True) == content[item.start : item.stop]


def test_without_a_content_type_the_parts_have_none() -> None:
    assert b"Content-Type: application" not in body(ranges("0-1,4-5"), bytes(1000), None)
    assert body(ranges("0-1,4-5"), bytes(1000), None).count(b"Content-Type") == 1


def test_the_order_asked_for_is_the_order_sent() -> None:
    assert judge(ranges("900-909,0-9,500-509")) == SendSeveral(ranges("900-909,0-9,500-509"))


def test_two_overlapping_ranges_are_sent_once() -> None:
    assert judge(ranges("0-99,50-149")) == SendOne(ByteRange(0, 150, 1000))
    assert judge(ranges("500-509,0-99,50-149")) == SendSeveral(ranges("500-509,0-149"))
    assert judge(ranges("0-99,100-199")) == SendSeveral(ranges("0-99,100-199"))


def test_more_overlapping_ranges_get_the_whole_or_a_refusal() -> None:
    assert judge(ranges("0-,0-,0-")) == SendWhole()
    assert judge(ranges("0-,0-,0-", LARGE)) == Unsatisfiable(LARGE)
    assert judge(ranges(",".join(f"{n}-" for n in range(100)), LARGE)) == Unsatisfiable(LARGE)
    assert judge(ranges("0-9,5-14,100-109,105-114")) == SendWhole()


def test_many_tiny_ranges_out_of_order_are_refused_and_in_order_are_not() -> None:
    ascending = ",".join(f"{n * 10}-{n * 10}" for n in range(64))
    shuffled = ",".join(f"{n * 10}-{n * 10}" for n in reversed(range(64)))
    assert judge(ranges(shuffled, WHOLE_BYTES_MAX)) == SendWhole()
    assert judge(ranges(shuffled, LARGE)) == Unsatisfiable(LARGE)
    assert isinstance(judge(ranges(ascending, LARGE)), SendSeveral)


def test_a_boundary_needs_entropy() -> None:
    assert len(boundary_of(bytes(16))) == 32
    assert len(boundary_of(bytes(64))) <= 70  # RFC 2046 section 5.1.1
    with pytest.raises(BadInput):
        boundary_of(bytes(15))


@pytest.mark.parametrize("kind", ["text/html;\tcharset=utf-8", 'text/html; title="\xe9"'])
def test_a_content_type_with_a_tab_or_old_bytes_goes_into_the_parts_as_it_came(kind: str) -> None:
    made = plan_multipart(ranges("0-1,4-5"), content_type=kind, boundary="b")
    assert all(f"Content-Type: {kind}\r\n".encode("latin-1") in part.head for part in made.parts)


@pytest.mark.parametrize("blank", ["\x1c", "\x85", "\xa0", "\n", "\x0b"])
def test_only_blank_and_tab_may_stand_around_a_range(blank: str) -> None:
    assert parse_range("bytes=0-1, \t4-5 ", 1000) == ranges("0-1,4-5")
    for header in (f"bytes=0-1,{blank}4-5", f"bytes=0-1{blank},4-5", f"{blank}bytes=0-1"):
        assert parse_range(header, 1000) is None, header


@pytest.mark.parametrize("kind", ["text/html\r\nSet-Cookie: a=b", "text/html\x00", "text/\u20ac"])
def test_a_content_type_cannot_break_out_of_its_line(kind: str) -> None:
    with pytest.raises(BadInput):
        plan_multipart(ranges("0-1,4-5"), content_type=kind, boundary="b")


@given(
    st.lists(st.tuples(st.integers(0, 999), st.integers(1, 200)), min_size=1, max_size=40),
    st.sampled_from([1000, LARGE]),
)
def test_every_wanted_byte_is_sent_and_none_twice(pairs: list[tuple[int, int]], total: int) -> None:
    wanted = [ByteRange(start, min(start + size, total), total) for start, size in pairs]
    found = judge(wanted)
    if isinstance(found, SendWhole):
        assert total <= WHOLE_BYTES_MAX
        return
    if isinstance(found, Unsatisfiable):
        assert total > WHOLE_BYTES_MAX
        return
    sent = (found.range,) if isinstance(found, SendOne) else found.ranges
    positions = [byte for item in sent for byte in range(item.start, item.stop)]
    assert len(positions) == len(set(positions))
    assert set(positions) == {byte for item in wanted for byte in range(item.start, item.stop)}
    firsts = [
        min(n for n, w in enumerate(wanted) if w.start >= s.start and w.stop <= s.stop)
        for s in sent
    ]
    assert firsts == sorted(firsts)
