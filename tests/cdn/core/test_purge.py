"""What a purge means, and what it never means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.errors import BadInput
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import (
    SURROGATE_KEYS_MAX,
    IndexStatistics,
    Kind,
    Names,
    PurgeIndex,
    Target,
    by_group,
    by_host,
    by_prefix,
    by_surrogate_key,
    by_url,
    is_below,
    names_it,
    surrogate_keys,
)
from skerry.wire.message import Headers


def names(
    path: str = "/",
    query: str = "",
    *,
    host: str = "a.org",
    port: int = 443,
    groups: tuple[str, ...] = (),
    keys: tuple[str, ...] = (),
) -> Names:
    key = CacheKey("https", host, port, path, query)
    return Names(key, frozenset(groups), frozenset(keys))


def prefix(path: str, authority: str = "a.org") -> Target:
    return by_prefix(scheme="https", authority=authority, path=path)


@pytest.mark.parametrize(
    ("wanted", "path", "meant"),
    [
        ("/a", "/a", True),
        ("/a", "/a/b", True),
        ("/a", "/a/", True),
        ("/a", "/ab", False),
        ("/a", "/a.css", False),
        ("/a", "/a%2Fb", False),
        ("/a/", "/a", False),
        ("/a/", "/a/", True),
        ("/a/", "/a/b/c", True),
        ("/a/", "/ab/", False),
        ("/a/b", "/a", False),
        ("/", "/", True),
        ("/", "/anything/at/all", True),
    ],
)
def test_a_prefix_is_whole_segments(wanted: str, path: str, meant: bool) -> None:
    assert is_below(wanted, path) is meant
    assert names_it(prefix(wanted), names(path, "q=1")) is meant


def test_targets_are_normalised_as_keys_are() -> None:
    assert prefix("/%7Ea", "A.org.:443") == prefix("/~a")
    assert by_host("A.ORG.") == by_host("a.org:8080") == Target(Kind.HOST, "", "a.org")
    assert by_url(names("/a", "b=1").key) == Target(Kind.URL, "https://a.org", "/a?b=1")


def test_a_url_is_that_url_and_no_other() -> None:
    target = by_url(names("/a", "b=1").key)
    assert names_it(target, names("/a", "b=1"))
    for other in (names("/a"), names("/a", "b=10"), names("/a", "b=1", port=8443), names("/a/b")):
        assert not names_it(target, other)


def test_a_host_is_all_its_ports_and_not_the_names_below_it() -> None:
    assert names_it(by_host("a.org"), names("/x", port=8443))
    assert not names_it(by_host("a.org"), names("/x", host="www.a.org"))
    assert not names_it(by_host("a.org"), names("/x", host="ba.org"))


def test_a_group_means_nothing_to_another_origin() -> None:
    target = by_group(scheme="https", authority="a.org", group="Scripts")
    assert names_it(target, names(groups=("x", "Scripts")))
    assert not names_it(target, names(groups=("Scripts",), port=8443))
    assert not names_it(target, names(groups=("Scripts",), host="b.org"))
    assert not names_it(target, names(groups=("scripts", "Scripts2")))


def test_a_surrogate_key_is_whole_and_of_one_host_unless_all_are_meant() -> None:
    mine = by_surrogate_key("item-1", host="a.org")
    assert names_it(mine, names(keys=("item-1",)))
    assert not names_it(mine, names(keys=("item-10", "Item-1", "item")))
    assert not names_it(mine, names(keys=("item-1",), host="b.org"))
    assert names_it(by_surrogate_key("item-1"), names(keys=("item-1",), host="b.org"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: prefix("/../a"),
        lambda: prefix("a"),
        lambda: prefix("/", "a b"),
        lambda: by_prefix(scheme="ftp", authority="a.org", path="/"),
        lambda: by_host(""),
        lambda: by_surrogate_key(""),
        lambda: by_surrogate_key("x" * 1025),
        lambda: by_surrogate_key("x\n"),
    ],
)
def test_what_names_nothing_is_refused_with_a_next_step(make: object) -> None:
    with pytest.raises(BadInput) as caught:
        make()  # type: ignore[operator]
    assert caught.value.next_step


def test_surrogate_key_is_separated_by_spaces_and_cache_tag_by_commas() -> None:
    fields = Headers(
        [("Surrogate-Key", " a  b,c "), ("cache-tag", "d, e f ,,"), ("Surrogate-Key", "a")]
    )
    assert surrogate_keys(fields) == {"a", "b,c", "d", "e f"}
    assert surrogate_keys(Headers()) == frozenset()


def test_more_keys_than_can_be_kept_are_not_cut_off() -> None:
    many = " ".join(map(str, range(SURROGATE_KEYS_MAX)))
    assert len(surrogate_keys(Headers([("Surrogate-Key", many)])) or ()) == SURROGATE_KEYS_MAX
    assert surrogate_keys(Headers([("Surrogate-Key", many + " x")])) is None
    assert surrogate_keys(Headers([("Cache-Tag", "x" * 1025)])) is None
    assert surrogate_keys(Headers([("Cache-Tag", "x," * 9000)])) is None


def test_a_hundred_thousand_keys_stay_apart() -> None:
    index = PurgeIndex()
    for number in range(100_000):
        bearer = names(f"/item/{number}", keys=(f"item-{number}", f"shelf-{number % 100}"))
        index.add(str(number), bearer)
    assert index.find(by_surrogate_key("item-1")) == {"1"}
    assert index.find(prefix("/item/1")) == {"1"}
    assert len(index.find(by_surrogate_key("shelf-7", host="a.org"))) == 1000
    assert index.statistics() == IndexStatistics(100_000, 100_100, 0)


def test_an_object_that_changed_its_names_is_found_by_the_new_ones_only() -> None:
    index = PurgeIndex()
    index.add("x", names(keys=("old",), groups=("old",)))
    index.add("x", names("/new", keys=("new",)))
    assert index.find(by_surrogate_key("old")) == frozenset()
    assert index.find(by_group(scheme="https", authority="a.org", group="old")) == frozenset()
    assert index.find(prefix("/")) == index.find(by_surrogate_key("new")) == {"x"}
    assert "x" in index
    index.discard("x")
    index.discard("x")
    assert len(index) == 0
    assert index.statistics() == IndexStatistics(0, 0, 0)


SEGMENT = st.sampled_from(["", "a", "ab", "a.b", "b", "%2F"])
PATHS = st.lists(SEGMENT, min_size=1, max_size=3).map(lambda each: "/" + "/".join(each))
HOSTS = st.sampled_from(["a.org", "ba.org", "[::1]"])
WORDS = st.sampled_from(["x", "xy", "X"])
NAMES = st.builds(
    lambda host, port, path, query, groups, keys: Names(
        CacheKey("https", host, port, path, query), frozenset(groups), frozenset(keys)
    ),
    HOSTS,
    st.sampled_from([443, 8443]),
    PATHS,
    st.sampled_from(["", "q=1", "q=10"]),
    st.sets(WORDS),
    st.sets(WORDS),
)
AUTHORITIES = st.builds(lambda host, port: host + port, HOSTS, st.sampled_from(["", ":8443"]))
TARGETS = st.one_of(
    st.builds(lambda bearer: by_url(bearer.key), NAMES),
    st.builds(prefix, PATHS, AUTHORITIES),
    st.builds(by_host, HOSTS),
    st.builds(lambda a, g: by_group(scheme="https", authority=a, group=g), AUTHORITIES, WORDS),
    st.builds(lambda k, h: by_surrogate_key(k, host=h), WORDS, st.one_of(st.just(""), HOSTS)),
)


@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), NAMES)), max_size=30), TARGETS)
def test_the_index_finds_exactly_whom_the_rule_means(
    changes: list[tuple[int, Names | None]], target: Target
) -> None:
    index = PurgeIndex()
    model: dict[str, Names] = {}
    for number, bearer in changes:
        if bearer is None:
            index.discard(str(number))
            model.pop(str(number), None)
        else:
            index.add(str(number), bearer)
            model[str(number)] = bearer
    assert index.find(target) == {i for i, bearer in model.items() if names_it(target, bearer)}
    assert len(index) == len(model)
    for ident in list(model):
        index.discard(ident)
    assert index.statistics() == IndexStatistics(0, 0, 0)
    assert index.find(target) == frozenset()
