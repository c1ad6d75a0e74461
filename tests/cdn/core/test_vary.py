from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.vary import matches, normalised, secondary_key, vary_names
from skerry.wire.message import Headers
from tests.cdn.core.http_values import Field, get, stored


def same(name: str, first: str, second: str) -> bool:
    return normalised(name, (first,)) == normalised(name, (second,))


def answers(vary: str, asked: list[Field], asking: list[Field]) -> bool:
    response = stored(("Vary", vary), request=get(*asked))
    return matches(response.vary, response.headers, Headers(asking))


def test_a_star_anywhere_in_the_list_never_matches_section_4_1() -> None:
    for value in ("*", "Accept, *", "*, Accept", " * ", "a,*,b"):
        assert vary_names(Headers([("Vary", value)])) is None, value
        assert not answers(value, [], []), value
    assert vary_names(Headers([("Vary", "A"), ("Vary", "*")])) is None
    assert vary_names(Headers([("Vary", "x*")])) == ("x*",)


def test_names_compare_without_case_and_count_once_section_4_1() -> None:
    assert vary_names(Headers([("Vary", "B, a, A,,"), ("Vary", "b")])) == ("a", "b")


def test_every_named_field_has_to_match_section_4_1() -> None:
    asked = [("Foo", "1"), ("Bar", "2")]
    assert answers("Foo, Bar", asked, [("bar", "2"), ("FOO", "1"), ("Other", "x")])
    assert not answers("Foo, Bar", asked, [("Foo", "1"), ("Bar", "3")])
    assert not answers("Foo, Bar", asked, [("Foo", "1")])


def test_an_absent_field_matches_only_an_absent_one_section_4_1() -> None:
    assert answers("Foo", [], [])
    assert not answers("Foo", [], [("Foo", "")])
    assert not answers("Foo", [("Foo", "")], [])


def test_lines_of_one_field_are_combined_section_4_1() -> None:
    assert answers("Foo", [("Foo", "1"), ("Foo", "2")], [("Foo", " 1, 2 ")])
    assert not answers("Foo", [("Foo", "1"), ("Foo", "2")], [("Foo", "2, 1")])


def test_the_value_of_an_unknown_field_keeps_case_and_inner_spaces_section_4_1() -> None:
    assert not same("foo", "A", "a")
    assert not same("foo", "a,b", "a, b")


def test_accept_encoding_forgets_order_case_space_and_full_weight_section_12_4_2() -> None:
    assert same("accept-encoding", "gzip, br;q=1.0", "BR ,GZip ; q=1")
    assert same("accept-encoding", "gzip;q=0.50, br", "br, gzip;q=0.5")
    assert same("accept-encoding", "x-gzip", "gzip")
    assert not same("accept-encoding", "gzip;q=0", "gzip")


def test_accept_forgets_order_but_no_parameter_section_12_5_1() -> None:
    assert same("accept", "text/html, application/json;q=0.9", "Application/JSON;Q=0.9,TEXT/html")
    assert not same("accept", "text/html;level=1", "text/html")
    assert not same("accept", 'a/b;x="A,B"', 'a/b;x="a,b"')


def test_accept_language_keeps_the_order_of_equal_weights_section_12_5_4() -> None:
    assert same("accept-language", "de;q=0.5, EN", "en,de;q=0.5")
    assert not same("accept-language", "de, en", "en, de")


def test_a_list_that_cannot_be_read_stays_as_it_is() -> None:
    for value in ("gzip;q=2", "gzip;q", "gzip;q=-1", "gz ip", 'gzip;x="a', "gzip;q=0.1234"):
        assert normalised("accept-encoding", (value,)) == value


def test_an_empty_accept_encoding_is_not_the_same_as_identity_allowed() -> None:
    assert normalised("accept-encoding", ("",)) == ""
    assert not same("accept-encoding", "", "gzip")


WEIGHTED = st.lists(
    st.tuples(st.sampled_from(["gzip", "br", "zstd", "*"]), st.sampled_from([1000, 500, 0])),
    unique_by=lambda pair: pair[0],
    max_size=4,
)


@given(WEIGHTED)
def test_two_spellings_of_one_preference_share_a_key(
    weights: list[tuple[str, int]],
) -> None:
    def spell(pairs: list[tuple[str, int]], comma: str) -> str:
        return comma.join(f"{name};q={q / 1000}" for name, q in pairs)

    shuffled = list(reversed(weights))
    assert same("accept-encoding", spell(weights, ","), spell(shuffled, " , ").upper())


@given(WEIGHTED, WEIGHTED)
def test_two_different_preferences_never_share_a_key(
    first: list[tuple[str, int]], second: list[tuple[str, int]]
) -> None:
    def spell(pairs: list[tuple[str, int]]) -> str:
        return ", ".join(f"{name};q={q / 1000}" for name, q in pairs)

    if set(first) != set(second):
        assert not same("accept-encoding", spell(first), spell(second))


@given(st.text(max_size=30), st.text(max_size=30))
def test_normalising_never_raises_and_is_done_once(vary: str, value: str) -> None:
    names = vary_names(Headers([("Vary", vary)])) or ()
    secondary_key(names, Headers([(name, value) for name in names]))
    for name in ("accept", "accept-encoding", "accept-language", "x"):
        once = normalised(name, (value,))
        assert normalised(name, (once,)) == once
