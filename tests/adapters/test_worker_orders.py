"""Across processes: what has to be forgotten, the tables that obey, and whose hit it was."""

from __future__ import annotations

import os
import subprocess
import sys

from skerry.adapters.http_hot import HotRequest
from skerry.adapters.http_hot_head import template
from skerry.adapters.worker_orders import FollowingTable, OrderPage, Orders, UseBook, UseTally
from skerry.adapters.worker_process import ABOUT_MAX, Debt
from skerry.wire.message import Hot

REQUEST = HotRequest((b"GET", b"node", b"/a"), ())
DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"


def put(table: FollowingTable, *, generation: int, about: tuple[str, ...] = ()) -> None:
    head = template(200, [(b"date", DATE)], aging=None, date=DATE)
    assert head is not None
    hot = Hot(1e9, lambda uses, body_bytes: None, about)
    table.put(REQUEST, hot, head=head, body=b"", generation=generation)


def found(table: FollowingTable) -> bool:
    entry = table.find(REQUEST, now=0.0, date=DATE)
    if entry is not None:
        table.remember(b"again", entry)
    again = table.repeat(b"again", now=0.0, date=DATE)
    assert (again is None) == (entry is None)
    return entry is not None


def test_an_order_is_in_force_before_its_message_has_come() -> None:
    page = OrderPage()
    orders = Orders(page.fileno(), page.count)
    table = FollowingTable(orders)
    put(table, generation=table.generation)
    assert found(table)
    page.rise()
    assert not found(table)


def test_a_table_answers_again_once_it_has_obeyed_and_holds_nothing_from_before() -> None:
    page = OrderPage()
    orders = Orders(page.fileno(), page.count)
    table = FollowingTable(orders)
    put(table, generation=table.generation)
    count = page.rise()
    table.forget_all()
    orders.obey(count)
    assert not found(table)
    put(table, generation=table.generation)
    assert found(table)


def test_an_answer_from_before_an_order_is_not_put_after_it() -> None:
    page = OrderPage()
    orders = Orders(page.fileno(), page.count)
    table = FollowingTable(orders)
    before = table.generation
    count = page.rise()
    table.forget_all()
    orders.obey(count)
    put(table, generation=before)
    assert not found(table)


def test_obeying_the_first_of_two_orders_is_not_enough() -> None:
    page = OrderPage()
    orders = Orders(page.fileno(), page.count)
    table = FollowingTable(orders)
    first = page.rise()
    page.rise()
    table.forget_all()
    orders.obey(first)
    put(table, generation=table.generation)
    assert not found(table)


def test_the_page_is_the_same_in_another_process() -> None:
    page = OrderPage()
    for _ in range(3):
        page.rise()
    program = (
        "import sys; from skerry.adapters.worker_orders import Orders;"
        " print(Orders(int(sys.argv[1]), 0).page[0])"
    )
    fd = os.dup(page.fileno())
    try:
        argv = [sys.executable, "-c", program, str(fd)]
        said = subprocess.run(argv, pass_fds=[fd], capture_output=True, check=True).stdout
    finally:
        os.close(fd)
    assert int(said) == 3


def test_what_is_owed_by_name_becomes_everything_when_it_is_too_much() -> None:
    debt = Debt()
    for name in ("a", "b", "a"):
        debt.add(name)
    what = debt.take(7)
    assert (what.order, what.everything, sorted(what.about)) == (7, False, ["a", "b"])
    assert not debt.owed.is_set()
    for number in range(ABOUT_MAX + 1):
        debt.add(str(number))
    what = debt.take(8)
    assert (what.everything, what.about) == (True, ())
    debt.add("c")
    assert debt.take(9).about == ("c",)
    debt.add("d")
    debt.add(None)
    assert debt.take(10).everything


def test_what_one_name_was_forgotten_for_does_not_touch_the_others() -> None:
    page = OrderPage()
    orders = Orders(page.fileno(), page.count)
    table = FollowingTable(orders)
    put(table, generation=table.generation, about=("a",))
    table.forget("b")
    orders.obey(page.rise())
    assert found(table)
    table.forget("a")
    orders.obey(page.rise())
    assert not found(table)


def test_uses_are_counted_for_whom_they_belong_to() -> None:
    book, tally = UseBook(), UseTally()
    counts: dict[str, tuple[int, int]] = {"a": (0, 0), "b": (0, 0)}

    def counting(name: str) -> int:
        def hit(uses: int, body_bytes: int) -> None:
            before, bytes_before = counts[name]
            counts[name] = (before + uses, bytes_before + body_bytes)

        return book.note(hit)

    a, b = tally.counter(counting("a")), tally.counter(counting("b"))
    a(2, 20)
    b(1, 7)
    a(1, 10)
    reported = tally.take(1) + tally.take(10)
    assert not tally.take(10)
    for number, uses, body_bytes in reported:
        book.count(number, uses, body_bytes)
    assert counts == {"a": (3, 30), "b": (1, 7)}


def test_the_numbers_that_were_used_last_stay() -> None:
    book = UseBook(numbers_max=2)
    used: list[str] = []
    first = book.note(lambda uses, body_bytes: used.append("first"))
    second = book.note(lambda uses, body_bytes: used.append("second"))
    book.count(first, 1, 0)
    book.note(lambda uses, body_bytes: None)
    for number in (first, second):
        book.count(number, 1, 0)
    assert used == ["first", "first"]
    assert len(book) == 2
