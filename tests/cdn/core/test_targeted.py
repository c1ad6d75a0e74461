from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.freshness import Source, lifetime
from skerry.cdn.core.storing import Refusal, refusal, stored_fields
from skerry.cdn.core.targeted import control_of
from skerry.wire.message import Headers
from tests.cdn.core.http_values import NOON, PUBLIC, Field, cc, date, fields, get


def governs(*pairs: Field) -> str:
    return control_of(Headers(pairs)).source


def cdn(value: str) -> Field:
    return "CDN-Cache-Control", value


def ours(value: str) -> Field:
    return "Skerry-Cache-Control", value


def test_our_own_field_comes_before_that_of_all_cdns_section_2_2() -> None:
    assert governs(cdn("max-age=1"), ours("max-age=2"), cc("max-age=3")) == "Skerry-Cache-Control"
    assert governs(cdn("max-age=1"), cc("max-age=3")) == "CDN-Cache-Control"
    assert governs(cc("max-age=3")) == "Cache-Control"


def test_an_empty_or_invalid_field_is_ignored_for_the_next_one_section_2_1() -> None:
    for bad in ("", "  ", "max-age=10000, &&&&&", "MaX-aGe=3600", "max-age =1", "max-age=9é", "a,"):
        assert governs(ours(bad), cdn("max-age=1")) == "CDN-Cache-Control", bad


def test_cache_control_and_expires_count_for_nothing_beside_it_section_2_2() -> None:
    headers = fields(cc("no-store"), ("Expires", date(-10)), cdn("max-age=600"))
    assert refusal(get(), 200, headers, PUBLIC) is None
    assert lifetime(200, headers, NOON, PUBLIC).seconds == 600


def test_a_field_without_directives_of_freshness_leaves_expires_ignored_section_2_2() -> None:
    headers = fields(cc("max-age=60"), ("Expires", date(600)), cdn("none"))
    assert lifetime(200, headers, NOON, PUBLIC).source is Source.NONE


def test_no_store_in_it_forbids_what_cache_control_allows_section_2_2() -> None:
    headers = fields(cc("max-age=10000"), cdn("no-store"))
    assert refusal(get(), 200, headers, PUBLIC) is Refusal.NO_STORE


def test_a_value_of_the_wrong_type_is_not_consumed_section_2_1() -> None:
    for value in ('max-age="60"', "max-age=60.5", "max-age", "max-age=-1", "max-age=(1 2)"):
        assert lifetime(200, fields(cdn(value)), NOON, PUBLIC).seconds == 0, value


def test_a_prohibition_of_the_wrong_type_is_still_a_prohibition() -> None:
    assert refusal(get(), 200, fields(cdn("no-store=?0, max-age=9")), PUBLIC) is Refusal.NO_STORE
    assert refusal(get(), 200, fields(cdn("private=1, max-age=9")), PUBLIC) is Refusal.PRIVATE


def test_parameters_are_ignored_and_the_last_of_repeated_members_counts_section_2_1() -> None:
    assert lifetime(200, fields(cdn("max-age=1;x=2, max-age=60")), NOON, PUBLIC).seconds == 60
    assert lifetime(200, fields(cdn("max-age=1"), cdn("max-age=7")), NOON, PUBLIC).seconds == 7


def test_field_names_are_read_from_strings_and_tokens_section_2_1() -> None:
    directives = control_of(Headers([cdn('private="x-a, x-b", no-cache=x-c')])).directives
    assert directives.fields("private") == {"x-a", "x-b"}
    assert directives.fields("no-cache") == {"x-c"}


def test_targeted_fields_are_stored_and_so_passed_on_section_2_2() -> None:
    kept = stored_fields(fields(ours("max-age=1"), cdn("foo")), received_at=NOON)
    assert kept.get("CDN-Cache-Control") == "foo"
    assert kept.get("Skerry-Cache-Control") == "max-age=1"


@given(st.text(max_size=60))
def test_any_value_is_either_read_or_ignored(text: str) -> None:
    control = control_of(Headers([cdn(text), cc("max-age=5")]))
    if control.source == "Cache-Control":
        assert control.directives.seconds("max-age") == 5
    else:
        assert control.directives.members
