"""One page of a list of names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.paging import Page, page

NAMES = ["b", "a", "B", "1.0", "a-b", "_x"]


def test_without_n_everything_comes_in_ascii_order() -> None:
    assert page(NAMES, None, None) == Page(("1.0", "B", "_x", "a", "a-b", "b"))


def test_n_and_last_walk_the_list() -> None:
    first = page(NAMES, "4", None)
    assert (first.names, first.next_last) == (("1.0", "B", "_x", "a"), "a")
    second = page(NAMES, "4", "a")
    assert (second.names, second.next_last) == (("a-b", "b"), None)
    assert second.link("/v2/a/tags/list") == ()


def test_the_link_is_encoded_and_keeps_the_namespace() -> None:
    found = page(["a b", "c"], "1", None)
    assert found.link("/v2/x/tags/list", ns="r.lan:5000") == (
        ("Link", '</v2/x/tags/list?ns=r.lan%3A5000&n=1&last=a%20b>; rel="next"'),
    )


def test_n_zero_is_an_empty_last_page() -> None:
    assert page(NAMES, "0", None) == Page((), None, 0)


def test_last_need_not_exist() -> None:
    assert page(NAMES, None, "aa").names == ("b",)
    assert page(NAMES, "5", "zzz").names == ()


@pytest.mark.parametrize("n", ["-1", "x", "1.5", "١", "9" * 40, "1 "])
def test_an_n_that_is_no_number_is_refused(n: str) -> None:
    with pytest.raises(RegistryError) as caught:
        page(NAMES, n, None)
    assert (caught.value.code, caught.value.status) == (Code.PAGINATION_NUMBER_INVALID, 400)


@given(st.lists(st.text(min_size=1, max_size=4)), st.integers(1, 5))
def test_t22_following_the_links_gives_every_name_once(names: list[str], n: int) -> None:
    seen: list[str] = []
    last: str | None = None
    while True:
        found = page(names, str(n), last)
        assert len(found.names) <= n
        seen.extend(found.names)
        last = found.next_last
        if last is None:
            break
    assert seen == sorted(set(names))
