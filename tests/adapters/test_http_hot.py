"""The table of ready answers, by values."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skerry.adapters.http_hot import VARIANTS_MAX, HotFile, HotKey, HotRequest, HotTable
from skerry.adapters.http_hot_head import template
from skerry.wire.message import Aging, Hot

DATE = b"Mon, 23 Nov 2026 15:46:06 GMT"
LATER = b"Mon, 23 Nov 2026 15:46:07 GMT"
KEY: HotKey = (b"GET", b"node", b"/v2/a/manifests/1")
HEAD = b"HTTP/1.1 200 OK\r\ndate: "


def asked(key: HotKey = KEY, *fields: tuple[bytes, bytes]) -> HotRequest:
    return HotRequest(key, fields)


def ready(body: bytes = b"body", date: bytes = DATE) -> bytes:
    return HEAD + date + b"\r\n\r\n" + body


def put(
    table: HotTable,
    request: HotRequest | None = None,
    *,
    body: bytes | HotFile = b"body",
    valid_until: float = 10.0,
    generation: int | None = None,
    told: list[tuple[int, int]] | None = None,
    about: tuple[str, ...] = (),
    fields: tuple[str, ...] = ("accept",),
) -> bool:
    heard = told if told is not None else []
    head = template(200, [(b"date", DATE)], aging=None, date=DATE)
    assert head is not None
    hot = Hot(valid_until, lambda uses, size: heard.append((uses, size)), about, fields=fields)
    decided = table.generation if generation is None else generation
    return table.put(request or asked(), hot, head=head, body=body, generation=decided)


def found(
    table: HotTable, request: HotRequest | None = None, *, now: float = 1.0, date: bytes = DATE
) -> bytes | None:
    entry = table.find(request or asked(), now=now, date=date)
    return None if entry is None else entry.ready


def test_a_put_answer_is_found_and_its_uses_are_told_at_once() -> None:
    table, told = HotTable(), list[tuple[int, int]]()
    put(table, told=told)
    for _ in range(3):
        entry = table.find(asked(), now=1.0, date=DATE)
        assert entry is not None
        table.used(entry)
    table.used_part(entry, 2)
    assert (entry.ready, told) == (ready(), [])
    table.tell()
    table.tell()
    assert told == [(4, 3 * 4 + 2)]
    assert table.statistics().hits == 4


def test_uses_that_nobody_was_told_of_are_told_when_the_answer_goes() -> None:
    table, told = HotTable(), list[tuple[int, int]]()
    put(table, told=told)
    entry = table.find(asked(), now=1.0, date=DATE)
    assert entry is not None
    table.used(entry)
    table.forget_all()
    assert told == [(1, 4)]


def test_the_date_of_an_answer_moves_on() -> None:
    table = HotTable()
    put(table)
    assert found(table) == ready()
    assert found(table, date=LATER) == ready(date=LATER)


def test_an_answer_ends_at_its_time_and_gives_its_memory_back() -> None:
    table = HotTable()
    put(table, valid_until=10.0)
    assert found(table, now=9.99) is not None
    assert found(table, now=10.0) is None
    assert table.statistics().entry_bytes == 0


def test_an_answer_seen_before_ends_at_its_time_too() -> None:
    table = HotTable()
    put(table, valid_until=10.0)
    entry = table.find(asked(), now=9.0, date=DATE)
    assert entry is not None
    table.remember(b"GET ...", entry)
    assert table.repeat(b"GET ...", now=9.99, date=DATE) is entry
    assert table.repeat(b"GET ...", now=10.0, date=DATE) is None
    assert table.statistics().requests == 0


def test_forgetting_empties_the_table_at_once() -> None:
    table = HotTable()
    put(table)
    entry = table.find(asked(), now=1.0, date=DATE)
    assert entry is not None
    table.remember(b"GET ...", entry)
    table.forget_all()
    assert found(table) is None
    assert table.repeat(b"GET ...", now=1.0, date=DATE) is None


def test_forgetting_a_name_takes_what_was_made_of_it_and_nothing_else() -> None:
    table = HotTable()
    one, two = asked((b"GET", b"node", b"/1")), asked((b"GET", b"node", b"/2"))
    put(table, one, about=("page-1", "body"))
    put(table, two, about=("page-2", "body"))
    entry = table.find(one, now=1.0, date=DATE)
    assert entry is not None
    table.remember(b"GET /1", entry)
    table.forget("page-1")
    assert (found(table, one), found(table, two)) == (None, ready())
    assert table.repeat(b"GET /1", now=1.0, date=DATE) is None
    table.forget("body")
    assert found(table, two) is None
    assert table.statistics().entry_bytes == 0


@pytest.mark.parametrize("forget", ["everything", "its name"])
def test_an_answer_decided_before_a_change_is_not_kept_after_it(forget: str) -> None:
    table = HotTable()
    before = table.generation
    if forget == "everything":
        table.forget_all()
    else:
        table.forget("page")
    assert not put(table, about=("page",), generation=before)
    assert put(table, about=("page",))


def test_a_change_of_another_thing_does_not_keep_an_answer_out() -> None:
    table = HotTable()
    before = table.generation
    table.forget("another page")
    assert put(table, about=("page",), generation=before)


def test_what_was_decided_before_more_changes_than_are_remembered_is_not_kept() -> None:
    table = HotTable()
    table.forget("page")
    before = table.generation - 1
    for number in range(5000):
        table.forget(str(number))
    assert not put(table, about=("page",), generation=before)
    assert put(table, about=("page",))


def test_a_request_seen_before_is_answered_without_parsing() -> None:
    table = HotTable()
    put(table)
    entry = table.find(asked(), now=1.0, date=DATE)
    assert entry is not None
    table.remember(b"GET /v2/a/manifests/1 HTTP/1.1\r\n\r\n", entry)
    assert table.repeat(b"GET /v2/a/manifests/1 HTTP/1.1\r\n\r\n", now=1.0, date=DATE) is entry
    assert table.repeat(b"GET /v2/a/manifests/2 HTTP/1.1\r\n\r\n", now=1.0, date=DATE) is None


def test_remembered_requests_are_bounded_in_length_and_number() -> None:
    table = HotTable(entries_max=4)
    put(table)
    entry = table.find(asked(), now=1.0, date=DATE)
    assert entry is not None
    table.remember(b"x" * 3000, entry)
    assert table.statistics().requests == 0
    for number in range(50):
        table.remember(b"%d" % number, entry)
    assert 0 < table.statistics().requests <= 4


def test_an_answer_is_given_only_where_its_fields_say_the_same() -> None:
    table = HotTable()
    names = ("accept", "accept-encoding")
    gzip = asked(KEY, (b"accept-encoding", b"gzip"), (b"x", b"1"))
    put(table, gzip, body=b"zip", fields=names)
    assert found(table, asked(KEY, (b"accept-encoding", b"gzip"))) == ready(b"zip")
    for other in (
        asked(KEY),
        asked(KEY, (b"accept-encoding", b"")),
        asked(KEY, (b"accept-encoding", b"gzip"), (b"accept", b"")),
        asked(KEY, (b"accept-encoding", b"gzip"), (b"accept-encoding", b"br")),
    ):
        assert found(table, other) is None


def test_an_answer_that_depends_on_other_fields_takes_the_place_of_all_of_its_target() -> None:
    table = HotTable()
    for value in (b"a", b"b"):
        put(table, asked(KEY, (b"accept", value)))
    put(table, asked(KEY), fields=("accept-encoding",))
    assert found(table, asked(KEY, (b"accept", b"b"))) == ready()
    assert table.statistics().entries == 1


def test_one_target_cannot_take_everybodys_place() -> None:
    table = HotTable()
    put(table, asked((b"GET", b"node", b"/other")))
    for number in range(100):
        put(table, asked(KEY, (b"accept", b"%d" % number)))
    assert table.statistics().entries == 1 + VARIANTS_MAX
    assert found(table, asked((b"GET", b"node", b"/other"))) is not None


def test_what_is_used_stays_when_strangers_come() -> None:
    table = HotTable(entries_max=8)
    put(table)
    for number in range(100):
        entry = table.find(asked(), now=1.0, date=DATE)
        assert entry is not None, number
        table.used(entry)
        put(table, asked((b"GET", b"node", b"/%d" % number)))


def test_an_answer_larger_than_the_table_is_passed_over() -> None:
    table = HotTable(bytes_max=100)
    assert not put(table, body=b"x" * 200)
    assert table.statistics().entries == 0


def test_files_are_bounded_and_closed_when_their_answer_goes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"body")
    table, files = HotTable(files_max=2), list[HotFile]()
    for number in range(5):
        files.append(HotFile(os.open(path, os.O_RDONLY), 4))
        assert put(table, asked((b"GET", b"node", b"/%d" % number)), body=files[-1])
    assert [file.fd >= 0 for file in files] == [False, False, False, True, True]
    assert table.statistics().files == 2
    table.forget_all()
    assert all(file.fd < 0 for file in files)
    none = HotTable(files_max=0)
    assert not put(none, body=HotFile(-1, 4))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400)), max_size=60))
def test_entries_and_bytes_stay_bounded_and_agree(puts: list[tuple[int, int]]) -> None:
    table = HotTable(entries_max=5, bytes_max=2000)
    for name, size in puts:
        put(table, asked((b"GET", b"node", b"/%d" % name)), body=b"x" * size)
        statistics = table.statistics()
        assert statistics.entries <= 5
        assert statistics.entry_bytes <= 2000
    for name in range(10):
        if found(table, asked((b"GET", b"node", b"/%d" % name))) is not None:
            put(table, asked((b"GET", b"node", b"/%d" % name)), valid_until=1.0)
            assert found(table, asked((b"GET", b"node", b"/%d" % name))) is None
    assert (table.statistics().entries, table.statistics().entry_bytes) == (0, 0)


AGING = Aging(at=100.0, age_seconds=7.25, ttl_seconds=52.75)
FIELDS = [
    (b"date", b"Mon, 23 Nov 2026 15:45:59 GMT"),
    (b"age", b"7"),
    (b"cache-status", b"far;hit;ttl=9, rock;hit;ttl=52;detail=x"),
]


def test_age_and_ttl_follow_the_clock_and_nothing_else_does() -> None:
    made = template(200, FIELDS, aging=AGING, date=DATE)
    assert made is not None
    for now, age, ttl in ((100.0, 7, 52), (100.75, 8, 52), (100.8, 8, 51), (160.0, 67, -8)):
        assert made.render(now, LATER) == (
            b"HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 15:45:59 GMT\r\nage: %d\r\n"
            b"cache-status: far;hit;ttl=9, rock;hit;ttl=%d;detail=x\r\n\r\n" % (age, ttl)
        )


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 1e5))
def test_a_head_is_the_same_until_it_says_that_it_changes(
    age: float, ttl: float, elapsed: float
) -> None:
    aging = Aging(at=0.0, age_seconds=age, ttl_seconds=ttl)
    fields = [(b"age", b"%d" % int(age)), (b"cache-status", b"rock;hit;ttl=%d" % int(ttl))]
    made = template(200, fields, aging=aging, date=DATE)
    assert made is not None
    until = made.changes_at(elapsed)
    assert elapsed <= until <= elapsed + 1
    assume(until - elapsed > 1e-6)  # nearer to each other, floats of this size round away
    before = elapsed + (until - elapsed) * 0.99
    assert made.render(elapsed, DATE) == made.render(before, DATE)


@pytest.mark.parametrize(
    "fields",
    [
        FIELDS[:2],
        FIELDS[2:],
        [(b"age", b"8"), FIELDS[2]],
        [(b"age", b"7"), (b"cache-status", b"rock;hit;ttl=53")],
        [(b"age", b"7"), (b"cache-status", b"rock;hit;ttl=52, far;hit")],
        [(b"age", b"7"), *FIELDS[1:]],
    ],
)
def test_a_head_that_says_something_else_has_no_template(
    fields: list[tuple[bytes, bytes]],
) -> None:
    assert template(200, fields, aging=AGING, date=DATE) is None
