"""Which route a request takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.errors import BadInput
from skerry.cdn.core.purge import is_below
from skerry.cdn.core.route import Matched, Route, RouteTable, Site, Unrouted, build
from skerry.cdn.ports import DataClass, RoutePolicy


def site(name: str, *hosts: str, prefixes: tuple[str, ...] = ("/",)) -> Site:
    return Site(name, hosts, tuple(Route(prefix, origin=f"{name}{prefix}") for prefix in prefixes))


def origin(table: RouteTable, host: str, path: str = "/", method: str = "GET") -> str | int:
    found = table.match(host=host, path=path, method=method)
    return found.route.origin if isinstance(found, Matched) else found.status


def test_the_exact_host_comes_before_the_nearest_wildcard() -> None:
    table = build(
        [
            site("far", "*.example.org"),
            site("near", "*.eu.example.org"),
            site("exact", "www.eu.example.org", "example.org"),
        ]
    )
    assert origin(table, "www.eu.example.org") == "exact/"
    assert origin(table, "cdn.eu.example.org") == "near/"
    assert origin(table, "a.b.eu.example.org") == "near/"
    assert origin(table, "us.example.org") == "far/"
    assert origin(table, "example.org") == "exact/"
    assert origin(table, "notexample.org") == 421


def test_a_wildcard_is_not_its_own_apex_and_any_host_comes_last() -> None:
    assert origin(build([site("w", "*.example.org")]), "example.org") == 421
    table = build([site("w", "a.org"), site("any", "*")])
    assert origin(table, "b.org") == "any/"
    assert origin(table, "a.org") == "w/"
    assert origin(table, "[::1]") == "any/"


def test_the_longest_prefix_wins_by_whole_segments() -> None:
    table = build([site("s", "a.org", prefixes=("/", "/a", "/a/b/", "/ab"))])
    assert origin(table, "a.org", "/a") == "s/a"
    assert origin(table, "a.org", "/a/") == "s/a"
    assert origin(table, "a.org", "/a/b") == "s/a/b/"
    assert origin(table, "a.org", "/a/b/c/d/e") == "s/a/b/"
    assert origin(table, "a.org", "/a/bc") == "s/a"
    assert origin(table, "a.org", "/ab/c") == "s/ab"
    assert origin(table, "a.org", "/abc") == "s/"


def test_doubled_slashes_do_not_slip_past_a_route() -> None:
    table = build([site("s", "a.org", prefixes=("/", "/admin"))])
    assert origin(table, "a.org", "/x//admin") == "s/"
    assert origin(table, "a.org", "//admin//x") == "s/admin"


def test_no_reading_of_a_path_slips_past_a_sensitive_route() -> None:
    public = RoutePolicy(DataClass.PUBLIC)
    open_root, open_files = (Route(path, path, public) for path in ("/", "/account/files"))
    table = build([Site("s", ("a.org",), (open_root, Route("/account", "/account"), open_files))])
    for path in (
        "/account;x",
        "/account;x/me.css",
        "/Account/me.css",
        "/ACCOUNT;x;y/a",
        "/account%3Ba",
    ):
        assert origin(table, "a.org", path) == "/account", path
    for path in ("/x;account", "/accounts", "/a;b/account", "/Films/a"):
        assert origin(table, "a.org", path) == "/", path
    assert origin(table, "a.org", "/account/files/a;v=1") == "/account/files"


def test_another_reading_never_makes_a_path_less_strict() -> None:
    media = Route("/media", "/media", RoutePolicy(DataClass.PUBLIC))
    upper = Route("/Docs", "/Docs", RoutePolicy(DataClass.PUBLIC))
    routes = (Route("/", "/"), media, Route("/docs", "/docs"), upper)
    table = build([Site("s", ("a.org",), routes)])
    assert origin(table, "a.org", "/media/a") == "/media"
    for path in ("/media;x/a", "/MEDIA/a"):
        assert origin(table, "a.org", path) == "/", path
    assert origin(table, "a.org", "/Docs/a") == "/Docs"  # both spellings are named


def test_no_prefix_is_404_and_another_method_405_with_allow() -> None:
    table = build([site("s", "a.org", prefixes=("/a",))])
    assert origin(table, "a.org", "/b") == 404
    assert origin(table, "a.org", "/a", "HEAD") == "s/a"
    found = table.match(host="a.org", path="/a", method="POST")
    assert isinstance(found, Unrouted)
    assert (found.status, found.allow) == (405, ("GET", "HEAD"))


def test_head_goes_with_get_but_not_alone() -> None:
    posting = Route("/", "o", methods=frozenset({"POST"}))
    table = build([Site("s", ("a.org",), (posting,))])
    assert origin(table, "a.org", "/", "HEAD") == 405
    found = table.match(host="a.org", path="/", method="GET")
    assert isinstance(found, Unrouted)
    assert found.allow == ("POST",)


@pytest.mark.parametrize(
    "sites",
    [
        [site("a", "a.org"), site("b", "A.org.")],
        [site("a", "a.org:80")],
        [site("a", "a_b c")],
        [site("a", "*")] * 2,
        [site("a")],
        [site("a", "a.org", prefixes=("/a", "/a/"))],
        [site("a", "a.org", prefixes=("a",))],
        [site("a", "a.org", prefixes=("/../a",))],
        [Site("a", ("a.org",), (Route("/", "o", methods=frozenset({"get"})),))],
        [Site("a", ("a.org",), (Route("/", "o", methods=frozenset()),))],
        [Site("a", ("a.org",), (Route("/", "o", slice_bytes=1000),))],
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_site_and_a_next_step(sites: list[Site]) -> None:
    with pytest.raises(BadInput, match="site '") as caught:
        build(sites)
    assert caught.value.next_step


SEGMENTS = st.lists(st.sampled_from(["a", "ab", "b", "%2F"]), max_size=4)
PATHS = SEGMENTS.map(lambda segments: "/" + "/".join(segments))


@given(st.sets(PATHS, max_size=8), PATHS)
def test_the_route_is_the_longest_of_the_prefixes_that_the_path_is_below(
    prefixes: set[str], path: str
) -> None:
    table = build([site("s", "a.org", prefixes=tuple(prefixes))])
    fitting = [p for p in prefixes if is_below(p, path)]
    expected = f"s{max(fitting, key=len)}" if fitting else 404
    assert origin(table, "a.org", path) == expected
