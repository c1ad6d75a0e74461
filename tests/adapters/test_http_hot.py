"""The table of ready answers, by values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.adapters.http_hot import REQUEST_BYTES_MAX, HotKey, HotTable

DATE = b"Mon, 23 Nov 2026 15:46:06 GMT"
LATER = b"Mon, 23 Nov 2026 15:46:07 GMT"
KEY: HotKey = (b"GET", b"node", b"/v2/a/manifests/1", b"")
HEAD = b"HTTP/1.1 200 OK\r\ndate: "


def ready(body: bytes = b"body") -> bytes:
    return HEAD + DATE + b"\r\n\r\n" + body


def put(
    table: HotTable,
    key: HotKey = KEY,
    *,
    body: bytes = b"body",
    valid_until: float = 10.0,
    generation: int = 0,
    hits: list[int] | None = None,
) -> None:
    counted = hits if hits is not None else []
    table.put(
        key,
        ready(body),
        date_at=len(HEAD),
        valid_until=valid_until,
        hit=lambda: counted.append(1),
        generation=generation,
    )


def test_a_put_answer_is_found_and_its_use_is_counted() -> None:
    table, hits = HotTable(), list[int]()
    put(table, hits=hits)
    assert table.find(KEY, now=1.0, date=DATE) == ready()
    assert hits == [1]
    assert table.statistics().hits == 1


def test_the_date_of_an_answer_moves_on() -> None:
    table = HotTable()
    put(table)
    assert table.find(KEY, now=1.0, date=DATE) == ready()
    assert table.find(KEY, now=1.0, date=LATER) == HEAD + LATER + b"\r\n\r\nbody"


def test_an_answer_ends_at_its_time_and_gives_its_memory_back() -> None:
    table = HotTable()
    put(table, valid_until=10.0)
    assert table.find(KEY, now=9.99, date=DATE) is not None
    assert table.find(KEY, now=10.0, date=DATE) is None
    assert table.statistics().entry_bytes == 0


def test_forgetting_empties_the_table_at_once() -> None:
    table = HotTable()
    put(table)
    table.remember(b"GET ...", KEY)
    table.forget_all()
    assert table.find(KEY, now=1.0, date=DATE) is None
    assert table.repeat(b"GET ...", now=1.0, date=DATE) is None


def test_an_answer_decided_before_a_change_is_not_kept_after_it() -> None:
    table = HotTable()
    before = table.generation
    table.forget_all()
    put(table, generation=before)
    assert table.statistics().entries == 0


def test_a_request_seen_before_is_answered_without_parsing() -> None:
    table = HotTable()
    put(table)
    table.remember(b"GET /v2/a/manifests/1 HTTP/1.1\r\n\r\n", KEY)
    assert table.repeat(b"GET /v2/a/manifests/1 HTTP/1.1\r\n\r\n", now=1.0, date=DATE) == ready()
    assert table.repeat(b"GET /v2/a/manifests/2 HTTP/1.1\r\n\r\n", now=1.0, date=DATE) is None


def test_a_long_request_is_not_remembered() -> None:
    table = HotTable()
    put(table)
    table.remember(b"x" * (REQUEST_BYTES_MAX + 1), KEY)
    assert table.statistics().requests == 0


def test_remembered_requests_are_bounded() -> None:
    table = HotTable(entries_max=4)
    for number in range(50):
        table.remember(b"%d" % number, KEY)
    assert table.statistics().requests <= 4


def test_an_answer_larger_than_the_table_is_passed_over() -> None:
    table = HotTable(bytes_max=100)
    put(table, body=b"x" * 200)
    assert table.statistics().entries == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400)), max_size=60))
def test_entries_and_bytes_stay_bounded_and_agree(puts: list[tuple[int, int]]) -> None:
    table = HotTable(entries_max=5, bytes_max=1000)
    kept: dict[int, int] = {}
    for name, size in puts:
        put(table, (b"GET", b"node", b"/%d" % name, b""), body=b"x" * size)
        kept[name] = len(ready(b"x" * size))
        statistics = table.statistics()
        assert statistics.entries <= 5
        assert statistics.entry_bytes <= 1000
    found = [
        answer
        for name in kept
        if (answer := table.find((b"GET", b"node", b"/%d" % name, b""), now=0.0, date=DATE))
    ]
    assert sum(map(len, found)) == table.statistics().entry_bytes
