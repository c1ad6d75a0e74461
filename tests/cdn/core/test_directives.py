from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.directives import (
    DELTA_SECONDS_MAX,
    delta_seconds,
    parse_directives,
    request_directives,
    split_list,
)
from skerry.wire.message import Headers


def seconds(value: str) -> int | None:
    return parse_directives([value]).seconds("max-age")


def test_names_compare_without_case_section_5_2() -> None:
    assert seconds("MaX-aGe=60") == 60
    assert "no-store" in parse_directives(["No-STORE"])


def test_token_and_quoted_string_arguments_mean_the_same_section_5_2() -> None:
    assert seconds('max-age="3600"') == 3600
    assert seconds("max-age='3600'") is None


def test_the_first_of_repeated_directives_counts_section_4_2_1() -> None:
    assert seconds("max-age=1800, max-age=1") == 1800
    assert parse_directives(["max-age=1", "max-age=1800"]).seconds("max-age") == 1
    assert seconds("max-age=x, max-age=1800") is None


def test_a_directive_inside_a_quoted_string_is_none_section_5_2() -> None:
    assert seconds('extension="max-age=3600", max-age=1') == 1
    assert seconds('max-age=1, extension="max-age=3600"') == 1
    assert seconds(r'extension="a\", max-age=3600", max-age=1') == 1


def test_an_open_quote_hides_no_directive_and_believes_no_freshness() -> None:
    directives = parse_directives(['max-age=60, x="abc, no-store'])
    assert "no-store" in directives
    assert directives.malformed


def test_delta_seconds_overflow_to_two_to_the_31_section_1_2_2() -> None:
    assert delta_seconds("2147483649") == DELTA_SECONDS_MAX
    assert delta_seconds("9" * 5000) == DELTA_SECONDS_MAX
    assert delta_seconds("0" * 5000 + "7") == 7
    assert delta_seconds("003600") == 3600


def test_what_is_no_delta_seconds_is_none_section_1_2_2() -> None:
    for text in ("", "-1", "+1", "1.0", "1e3", "1_0", "٣", " 1", "a1", "1a"):
        assert delta_seconds(text) is None, text


def test_space_around_the_equals_sign_spoils_the_argument_only() -> None:
    assert seconds("max-age =3600") is None
    assert seconds("max-age= 3600") is None
    assert "max-age" in parse_directives(["max-age =3600"])
    assert parse_directives(['private ="x"']).fields("private") == frozenset()


def test_an_argument_where_none_is_allowed_does_not_weaken_a_directive_section_5_2() -> None:
    assert "no-store" in parse_directives(["no-store=0"])


def test_unknown_directives_and_names_that_are_no_tokens_are_ignored_section_5_2_3() -> None:
    directives = parse_directives(['foo=bar, "no-store", (x), =1, , max-age=5'])
    assert directives.seconds("max-age") == 5
    assert "no-store" not in directives


def test_no_cache_and_private_name_fields_in_either_form_sections_5_2_2_4_and_5_2_2_7() -> None:
    directives = parse_directives(['no-cache="Set-Cookie, X-A"', "private=X-B"])
    assert directives.fields("no-cache") == {"set-cookie", "x-a"}
    assert directives.fields("private") == {"x-b"}
    assert directives.fields("public") is None


def test_repeated_field_lists_add_up_and_the_unqualified_form_wins_section_4_2_1() -> None:
    assert parse_directives(['private="a", private="b"']).fields("private") == {"a", "b"}
    assert parse_directives(['private="a", private']).fields("private") == frozenset()


def test_a_field_list_that_cannot_be_read_counts_as_unqualified() -> None:
    for value in ('private=""', "private=", 'private="a b"', 'private="a;b"', 'private=","'):
        assert parse_directives([value]).fields("private") == frozenset(), value


def test_pragma_counts_only_without_cache_control_section_5_4() -> None:
    alone = Headers([("Pragma", "x, No-Cache")])
    both = Headers([("Pragma", "no-cache"), ("Cache-Control", "max-age=5")])
    assert "no-cache" in request_directives(alone)
    assert "no-cache" not in request_directives(both)


def test_a_flood_of_members_is_cut_and_believed_nothing_of() -> None:
    directives = parse_directives([",".join(["a"] * 100_000)])
    assert len(directives.members) == 256
    assert directives.malformed


@given(st.lists(st.text(max_size=60), max_size=4))
def test_the_parser_never_raises_and_settles_on_values_in_range(lines: list[str]) -> None:
    directives = parse_directives(lines)
    for name, _ in directives.members:
        value = directives.seconds(name)
        assert value is None or 0 <= value <= DELTA_SECONDS_MAX
        assert directives.fields(name) is not None


@given(st.text(alphabet='ab",\\ \t=;', max_size=40))
def test_no_store_is_found_wherever_a_broken_list_puts_it_unless_it_is_quoted(text: str) -> None:
    # An even number of quotes before it: it stands outside of every quoted string.
    if "\\" not in text and text.count('"') % 2 == 0:
        assert "no-store" in parse_directives([f"{text},no-store"])


@given(st.text(alphabet='ab",\\ ', max_size=30))
def test_splitting_a_list_loses_no_letter(text: str) -> None:
    members, _ = split_list(text)
    kept = "".join(members)
    assert [c for c in text if c in 'ab"\\'] == [c for c in kept if c in 'ab"\\']
