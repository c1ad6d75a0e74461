"""The plan of a prewarm: order, caps, money, and what a list or a manifest says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.errors import BadInput
from skerry.cdn.core.prewarm import (
    WISHES_MAX,
    Caps,
    Found,
    Plan,
    Verdict,
    Wish,
    cost_micro,
    plan,
    wishes_of_manifest,
    wishes_of_text,
)

MB = 10**6


def found(name: str, size: int | None, *, here: int = 0, weight: float = 0.0) -> Found:
    missing = None if size is None else size - here
    return Found(Wish(name, weight), size, missing)


def verdicts(made: Plan) -> dict[str, str]:
    return {item.found.wish.url: item.verdict.value for item in made.items}


def test_what_is_here_costs_nothing_and_what_is_half_here_its_half() -> None:
    made = plan([found("a", 5 * MB, here=5 * MB), found("b", 5 * MB, here=2 * MB)], Caps())
    assert verdicts(made) == {"a": "here", "b": "fetch"}
    assert made.fetch_bytes == 3 * MB


def test_the_heaviest_goes_first_and_equals_keep_their_order() -> None:
    wishes = [found("a", 1), found("b", 1, weight=2), found("c", 1), found("d", 1, weight=9)]
    made = plan(wishes, Caps())
    assert [item.found.wish.url for item in made.items] == ["d", "b", "a", "c"]


def test_what_would_go_over_the_bytes_is_left_out_and_the_smaller_behind_it_is_not() -> None:
    made = plan([found("a", 6), found("b", 6), found("c", 4)], Caps(bytes_max=10))
    assert verdicts(made) == {"a": "fetch", "b": "beyond", "c": "fetch"}
    assert made.fetch_bytes == 10


def test_a_cap_of_money_is_one_of_bytes_at_the_price() -> None:
    caps = Caps(cost_micro_max=90_000, micro_per_gb=90_000)  # 0.09 a GB, 0.09 to spend
    made = plan([found("a", 700 * MB), found("b", 400 * MB), found("c", 300 * MB)], caps)
    assert verdicts(made) == {"a": "fetch", "b": "beyond", "c": "fetch"}
    assert made.cost_micro == 90_000


def test_money_is_rounded_up() -> None:
    assert cost_micro(1, 90_000) == 1
    assert cost_micro(0, 90_000) == 0
    assert cost_micro(10**9, 90_000) == 90_000


def test_an_unknown_length_fits_only_where_nothing_is_capped() -> None:
    assert verdicts(plan([found("a", None)], Caps())) == {"a": "fetch"}
    assert verdicts(plan([found("a", None)], Caps(bytes_max=10))) == {"a": "beyond"}


def test_what_is_refused_is_told_with_its_reason() -> None:
    [item] = plan([Found(Wish("a"), refused="its route is not public")], Caps()).items
    assert (item.verdict, item.why) == (Verdict.REFUSED, "its route is not public")


@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.floats(0, 9)), max_size=20),
    st.integers(0, 10**12),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_no_plan_breaks_a_cap(
    sizes: list[tuple[int, float]], bytes_max: int, cost_max: int, price: int
) -> None:
    wishes = [found(str(n), size, weight=weight) for n, (size, weight) in enumerate(sizes)]
    made = plan(wishes, Caps(bytes_max, cost_max, price))
    assert made.fetch_bytes <= bytes_max
    assert made.cost_micro <= cost_max
    assert len(made.items) == len(wishes)


def test_a_list_has_a_url_a_line_and_remarks() -> None:
    text = (
        "# before the match\nhttps://a.example/1\n\n  https://a.example/2  \nhttps://a.example/1\n"
    )
    assert [wish.url for wish in wishes_of_text(text)] == ["https://a.example/1",
                                                           "https://a.example/2"]  # fmt: skip


def test_a_manifest_names_its_parts_beside_itself_and_may_weigh_them() -> None:
    data = json.dumps(
        {
            "title": "for players",
            "objects": [
                {"url": "a3f1.mp4", "weight": 0.5, "codec": "avc1"},
                {"url": "/thumbs/1.jpg", "weight": 2},
                {"url": "https://b.example/x"},
            ],
        }
    ).encode()
    assert wishes_of_manifest(data, base="https://a.example/films/1.json") == (
        Wish("https://a.example/films/a3f1.mp4", 0.5),
        Wish("https://a.example/thumbs/1.jpg", 2.0),
        Wish("https://b.example/x"),
    )


def test_a_file_that_is_a_manifest_is_read_as_one() -> None:
    assert wishes_of_text('{"objects": [{"url": "https://a.example/1"}]}') == (
        Wish("https://a.example/1"),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"objects": 7}',
        b'{"objects": ["x"]}',
        b'{"objects": [{"weight": 1}]}',
        b'{"objects": [{"url": "x", "weight": "1"}]}',
        b'{"objects": [{"url": "x", "weight": NaN}]}',
        b'{"objects": [{"url": "http://[", "weight": 1}]}',
        b"[" * 100_000,
    ],
)
def test_a_manifest_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        wishes_of_manifest(data, base="https://a.example/")


@given(st.binary())
def test_no_manifest_breaks_the_reader(data: bytes) -> None:
    try:
        wishes_of_manifest(data, base="https://a.example/")
    except BadInput:
        return


def test_too_many_or_too_long_urls_are_refused() -> None:
    with pytest.raises(BadInput):
        wishes_of_text("".join(f"https://a.example/{n}\n" for n in range(WISHES_MAX + 1)))
    with pytest.raises(BadInput):
        wishes_of_text("https://a.example/" + "x" * 9000)
