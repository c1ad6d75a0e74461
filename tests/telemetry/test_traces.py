"""Which requests are followed, and what is kept of them."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.telemetry.accounts import Account, current, kept
from skerry.telemetry.tracer import SPANS_MAX, Tracer
from skerry.telemetry.traces import Kind, TraceContext, parse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SENT = f"00-{TRACE}-{SPAN}-01"


def tracer(share: float = 0.0) -> Tracer:
    return Tracer(share=share, chance=Random(1), now=lambda: 100.0)


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (SENT, True),
        (f" {SENT} ", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
    ],
)
def test_a_context_that_was_sent_is_read(text: str, sampled: bool) -> None:
    assert parse(text) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\r\nX: y",
    ],
)
def test_what_is_no_context_is_ignored(text: str) -> None:
    """Trace Context section 4.3: restart the trace, do not fail the request."""
    assert parse(text) is None


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    found = parse(text)
    assert found is None or len(found.trace_id) == 32


def test_a_caller_that_samples_is_followed_and_is_the_parent() -> None:
    span = tracer().begin(SENT, "GET edge")
    assert span is not None
    assert (span.context.trace_id, span.parent_id) == (TRACE, SPAN)
    assert tracer().begin(f"00-{TRACE}-{SPAN}-00", "GET edge") is None
    assert tracer().begin("", "GET edge") is None


def test_a_share_of_the_others_is_followed() -> None:
    followed = tracer(0.25)
    count = sum(followed.begin("", "GET edge") is not None for _ in range(4000))
    assert 900 < count < 1100


def test_of_a_sensitive_request_no_span_is_kept() -> None:
    followed = tracer(1.0)
    account = Account(data_class="sensitive", outcome="pass")
    account.span = followed.begin("", "GET edge")
    assert account.span is not None
    assert account.trace_id == "", "nor is its trace an exemplar"
    followed.end(account.span, account, status=200)
    assert followed.take(10) == []
    assert followed.statistics().withheld_count == 1


def test_a_public_span_says_what_its_account_tells_and_no_more() -> None:
    followed = tracer(1.0)
    account = Account()
    account.span = followed.begin("", "GET edge")
    account.tell("public", "www.example.org/film")
    account.end("page", "hit")
    assert account.span is not None
    step = followed.child(account.span, "GET upstream")
    followed.end(step, account, status=502)
    followed.end(account.span, account, status=200)
    below, above = followed.take(10)
    assert (below.parent_id, below.context.trace_id) == (
        above.context.span_id,
        above.context.trace_id,
    )
    assert (below.kind, below.failed, above.failed) == (Kind.CLIENT, True, False)
    assert above.attributes == {
        "http.response.status_code": 200,
        "skerry.kind": "page",
        "skerry.outcome": "hit",
        "skerry.subject": "www.example.org/film",
    }


def test_spans_that_nobody_takes_are_bounded() -> None:
    followed = tracer(1.0)
    account = Account(data_class="public")
    for _ in range(SPANS_MAX + 7):
        span = followed.begin("", "GET edge")
        assert span is not None
        followed.end(span, account, status=200)
    now = followed.statistics()
    assert (now.waiting_count, now.dropped_count) == (SPANS_MAX, 7)


def test_an_account_is_one_requests_and_sensitive_until_told() -> None:
    assert current() is not current()
    with kept(Account()) as account:
        assert current() is account
        assert account.data_class == "sensitive"
        account.tell("sensitive", "/patients/mrs-doe")
        assert account.subject == ""
    assert current() is not account
