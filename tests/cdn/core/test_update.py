from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.freshness import judge
from skerry.cdn.core.storing import Refusal
from skerry.cdn.core.update import (
    Answered,
    ForClient,
    Freshened,
    Unusable,
    after_head,
    after_not_modified,
    freshened,
    to_freshen,
)
from skerry.cdn.ports import Stored
from skerry.wire.message import Headers, Request
from tests.cdn.core.http_values import NOON, PUBLIC, Field, cc, date, get, stored

LATER = NOON + 1000
MODIFIED = ("Last-Modified", date(-100))


def answer(*pairs: Field) -> Answered:
    headers = Headers((*pairs, ("Date", date(1000))))
    return Answered(headers, requested_at=LATER - 1, received_at=LATER)


def tagged(tag: str, *more: Field) -> Stored:
    return stored(cc("max-age=10"), ("ETag", tag), *more)


def identified(candidates: list[Stored], *pairs: Field, asked: Request | None = None) -> list[int]:
    found = to_freshen(candidates, asked or get(), Headers(pairs))
    return [next(i for i, one in enumerate(candidates) if one is each) for each in found]


def test_a_strong_tag_identifies_all_that_share_it_section_4_3_4() -> None:
    candidates = [tagged('"a"'), tagged('"b"'), tagged('"a"', ("Date", date(5)))]
    assert identified(candidates, ("ETag", '"a"')) == [2, 0]


def test_a_strong_tag_that_nothing_shares_updates_nothing_section_4_3_4() -> None:
    candidates = [tagged('"b"', MODIFIED), tagged('W/"a"', MODIFIED)]
    assert identified(candidates, ("ETag", '"a"'), MODIFIED) == []


def test_a_weak_tag_identifies_the_most_recent_section_4_3_4() -> None:
    candidates = [tagged('W/"a"'), tagged('W/"a"', ("Date", date(5))), tagged('W/"b"')]
    assert identified(candidates, ("ETag", 'W/"a"')) == [1]
    assert identified([tagged('W/"b"')], ("ETag", 'W/"a"'), MODIFIED) == []


def test_last_modified_identifies_where_there_is_no_tag_section_4_3_4() -> None:
    candidates = [stored(MODIFIED), stored(("Last-Modified", date(-200)))]
    assert identified(candidates, MODIFIED) == [0]
    assert identified(candidates, ("Last-Modified", date(-1))) == []


def test_a_304_without_validator_identifies_the_only_candidate_section_4_3_4() -> None:
    assert identified([stored(cc("max-age=1"))]) == [0]
    assert identified([stored(MODIFIED)]) == [0]
    assert identified([stored(MODIFIED), stored()]) == []
    assert identified([tagged('"a"')], asked=get(("If-None-Match", '"c"'))) == []


def test_a_304_may_be_for_the_client_alone_section_4_3_2() -> None:
    asked = get(("If-None-Match", 'W/"c"'))
    confirmed = after_not_modified([tagged('"a"')], asked, answer(("ETag", '"c"')), PUBLIC)
    assert confirmed == ForClient()
    for other in (get(), get(("If-None-Match", '"d"'))):
        found = after_not_modified([tagged('"a"')], other, answer(("ETag", '"c"')), PUBLIC)
        assert found == Unusable()


def test_new_fields_replace_all_old_ones_of_their_name_section_3_2() -> None:
    old = tagged('"a"', ("X", "1"), ("x", "2"), ("Y", "kept"))
    new = freshened(old, get(), answer(("ETag", '"a"'), ("X", "3"), cc("max-age=99"))).headers
    assert new.all("X") == ("3",)
    assert new.get("Y") == "kept"
    assert new.get("Cache-Control") == "max-age=99"
    assert new.get("Date") == date(1000)


def test_what_describes_the_stored_bytes_is_not_updated_section_3_2() -> None:
    described = [("Content-Length", "5"), ("Content-Encoding", "br"), ("Content-Range", "x")]
    old = tagged('W/"a"', *described)
    changed = [(name, "0") for name, _ in described]
    new = freshened(old, get(), answer(("ETag", '"a"'), *changed)).headers
    for name, value in described:
        assert new.all(name) == (value,)
    assert new.get("ETag") == 'W/"a"'


def test_what_is_never_stored_is_not_updated_either_section_3_2() -> None:
    came = [("Set-Cookie", "a=b"), ("Connection", "X-Hop"), ("X-Hop", "1"), ("X-U", "1")]
    new = freshened(tagged('"a"'), get(), answer(*came, cc('max-age=1, private="x-u"'))).headers
    assert {name for name, _ in new} == {"ETag", "Cache-Control", "Date"}


def test_an_old_age_does_not_outlive_a_validation_section_4_2_3() -> None:
    old = replace(tagged('"a"', ("Age", "500")), invalidated=True)
    new = freshened(old, get(), answer())
    assert judge(new, LATER, PUBLIC).age_seconds == 1
    assert not new.invalidated
    assert judge(freshened(old, get(), answer(("Age", "7"))), LATER, PUBLIC).age_seconds == 8


def test_a_new_vary_is_keyed_by_the_request_that_brought_it_section_4_1() -> None:
    asked = get(("Accept-Encoding", "GZIP"))
    new = freshened(tagged('"a"'), asked, answer(("Vary", "Accept-Encoding")))
    assert new.vary == (("accept-encoding", "gzip"),)


def test_new_groups_replace_the_old_ones_rfc_9875_section_2() -> None:
    old = tagged('"a"', ("Cache-Groups", '"x"'))
    assert freshened(old, get(), answer()).groups == {"x"}
    assert freshened(old, get(), answer(("Cache-Groups", '"y"'))).groups == {"y"}


def test_a_304_that_forbids_storing_ends_it_section_3() -> None:
    found = after_not_modified(
        [tagged('"a"')], get(), answer(("ETag", '"a"'), cc("no-store")), PUBLIC
    )
    assert isinstance(found, Freshened)
    assert found.refused is Refusal.NO_STORE
    assert found.forget


def test_a_request_that_may_not_be_shared_leaves_the_stored_one_as_it_was_section_3_5() -> None:
    asked = get(("Authorization", "x"))
    found = after_not_modified([tagged('"a"')], asked, answer(("ETag", '"a"')), PUBLIC)
    assert isinstance(found, Freshened)
    assert found.refused is Refusal.AUTHORIZATION
    assert not found.forget


def test_a_head_may_be_what_confirms_a_stored_get_section_4_3_4() -> None:
    found = after_not_modified([tagged('"a"')], get(method="HEAD"), answer(("ETag", '"a"')), PUBLIC)
    assert isinstance(found, Freshened)
    assert found.refused is None


def head(old: Stored, *pairs: Field, status: int = 200) -> Stored:
    return after_head(old, get(method="HEAD"), status, answer(*pairs))


def test_a_head_that_agrees_updates_section_4_3_5() -> None:
    old = tagged('"a"', MODIFIED, ("Content-Length", "5"))
    new = head(old, ("ETag", '"a"'), ("Content-Length", "5"), ("X-New", "1"))
    assert new.headers.get("X-New") == "1"
    assert new.received_at == LATER


def test_a_head_that_disagrees_makes_it_need_validation_section_4_3_5() -> None:
    old = tagged('"a"', MODIFIED, ("Content-Length", "5"))
    for pair in (("ETag", '"b"'), ("Last-Modified", date(-1)), ("Content-Length", "6")):
        new = head(old, pair)
        assert new == replace(old, invalidated=True), pair
    sized = replace(tagged('"a"'), size_bytes=5)
    assert head(sized, ("Content-Length", "6")).invalidated
    assert not head(sized, ("Content-Length", "5")).invalidated


def test_a_head_of_another_status_says_nothing_section_4_3_5() -> None:
    old = tagged('"a"')
    assert head(old, ("ETag", '"b"'), status=503) is old


@given(st.lists(st.tuples(st.sampled_from(["ETag", "Vary", "Age", "X"]), st.text()), max_size=4))
def test_an_update_never_touches_what_the_bytes_depend_on(pairs: list[Field]) -> None:
    old = tagged('"a"', ("Content-Length", "5"), ("Content-Encoding", "br"))
    new = freshened(old, get(), answer(*pairs)).headers
    for name in ("ETag", "Content-Length", "Content-Encoding"):
        assert new.all(name) == old.headers.all(name)
