"""What the front door refuses, shape by shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.strict import (
    RULES,
    Head,
    Limits,
    Reason,
    Refusal,
    mistaken_type,
    refuse,
)

HOST = (b"Host", b"example.org")


def judged(
    *fields: tuple[bytes, bytes],
    target: bytes = b"/",
    method: bytes = b"GET",
    version: bytes = b"1.1",
    host: bool = True,
    limits: Limits | None = None,
) -> Reason | None:
    head = Head(method, target, version, ((HOST, *fields) if host else fields))
    found = refuse(head, limits or Limits())
    return found.reason if found else None


def te(value: bytes) -> tuple[bytes, bytes]:
    return (b"Transfer-Encoding", value)


def cl(value: bytes) -> tuple[bytes, bytes]:
    return (b"Content-Length", value)


HONEST = """/ /a?b=c&d /a;v=1/b /~a/%E2%82%AC /img/https://x.org/a.png /a.js /index.php /@scope/name
/a%20b /100%25 http://EXAMPLE.org:80/a"""


@pytest.mark.parametrize("target", HONEST.encode().split())
def test_honest_requests_go_on(target: bytes) -> None:
    assert judged(target=target) is None
    assert judged(cl(b"3"), target=target, method=b"POST") is None
    assert judged(te(b"Chunked"), target=target, method=b"POST") is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([cl(b"3"), te(b"chunked")], Reason.LENGTH_AND_CODING),
        ([te(b"chunked"), cl(b"3")], Reason.LENGTH_AND_CODING),
        ([cl(b"3"), cl(b"4")], Reason.LENGTH_SEVERAL),
        ([cl(b"3"), cl(b"3")], Reason.LENGTH_SEVERAL),
        ([cl(b"3, 3")], Reason.LENGTH_SEVERAL),
        ([cl(b"+3")], Reason.LENGTH_INVALID),
        ([cl(b"-3")], Reason.LENGTH_INVALID),
        ([cl(b"0x3")], Reason.LENGTH_INVALID),
        ([cl(b"3_0")], Reason.LENGTH_INVALID),
        ([cl(b"")], Reason.LENGTH_INVALID),
        ([cl(b"9" * 19)], Reason.LENGTH_INVALID),
        ([te(b"chunked"), te(b"chunked")], Reason.CODING_SEVERAL),
        ([te(b"chunked, chunked")], Reason.CODING_SEVERAL),
        ([te(b"chunked, identity")], Reason.CODING_SEVERAL),
        ([te(b"gzip, chunked")], Reason.CODING_UNKNOWN),
        ([te(b"xchunked")], Reason.CODING_UNKNOWN),
        ([te(b"chunked;q=1")], Reason.CODING_UNKNOWN),
        ([te(b"identity")], Reason.CODING_UNKNOWN),
        ([te(b"")], Reason.CODING_UNKNOWN),
        ([te(b"\x0bchunked")], Reason.FIELD_VALUE),
        ([(b"Transfer_Encoding", b"chunked")], Reason.FIELD_NAME),
        ([(b"Content_Length", b"3")], Reason.FIELD_NAME),
        ([(b"Connection", b"close, Authorization")], Reason.CONNECTION_OPTION),
        ([(b"Connection", b"cache-control")], Reason.CONNECTION_OPTION),
    ],
)
def test_framing_that_two_parsers_read_in_two_ways(
    fields: list[tuple[bytes, bytes]], reason: Reason
) -> None:
    assert judged(*fields, method=b"POST") is reason


def test_http_1_0_has_no_transfer_encoding() -> None:
    assert judged(te(b"chunked"), version=b"1.0") is Reason.CODING_OLD_VERSION


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ((b"A ", b"b"), Reason.SPACE_BEFORE_COLON),
        ((b"A\t", b"b"), Reason.SPACE_BEFORE_COLON),
        ((b" A", b"b"), Reason.LINE_FOLDING),
        ((b"A", b"b\r\n c"), Reason.LINE_FOLDING),
        ((b"A", b"b\nC: d"), Reason.FIELD_VALUE),
        ((b"A", b"b\0"), Reason.FIELD_VALUE),
        ((b"A", b"b\x7f"), Reason.FIELD_VALUE),
        ((b"", b"b"), Reason.FIELD_NAME),
        ((b"A\0", b"b"), Reason.FIELD_NAME),
        ((b"A:", b"b"), Reason.FIELD_NAME),
        ((b"\xe9", b"b"), Reason.FIELD_NAME),
    ],
)
def test_fields_that_break_their_line(field: tuple[bytes, bytes], reason: Reason) -> None:
    assert judged(field) is reason


def test_a_tab_and_foreign_bytes_in_a_value_are_allowed() -> None:
    assert judged((b"A", b"b\tc \xe9")) is None


@pytest.mark.parametrize(
    ("hosts", "target", "reason"),
    [
        ([], b"/", Reason.HOST_MISSING),
        ([b"example.org", b"example.org"], b"/", Reason.HOST_SEVERAL),
        ([b""], b"/", Reason.HOST_INVALID),
        ([b"a, b"], b"/", Reason.HOST_INVALID),
        ([b"user@example.org"], b"/", Reason.HOST_INVALID),
        ([b"example.org/x"], b"/", Reason.HOST_INVALID),
        ([b"example.org"], b"http://other.org/", Reason.HOST_MISMATCH),
        ([b"example.org"], b"http://example.org:81/", Reason.HOST_MISMATCH),
        ([b"example.org"], b"http://user@example.org/", Reason.TARGET_FORM),
        ([b"example.org"], b"http:///", Reason.TARGET_FORM),
        ([b"EXAMPLE.org:80"], b"http://example.ORG/", None),
        ([b"example.org"], b"http://example.org", None),
    ],
)
def test_one_host_is_named_once(hosts: list[bytes], target: bytes, reason: Reason | None) -> None:
    assert judged(*((b"hOSt", name) for name in hosts), target=target, host=False) is reason


def test_only_http_1_0_may_name_its_host_in_the_target_alone() -> None:
    target = b"http://example.org/"
    assert judged(target=target, version=b"1.0", host=False) is None
    assert judged(target=target, host=False) is Reason.HOST_MISSING
    assert judged(version=b"1.0", host=False) is Reason.HOST_MISSING


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (b"", Reason.TARGET_FORM),
        (b"a", Reason.TARGET_FORM),
        (b"*", Reason.TARGET_FORM),
        (b"example.org:443", Reason.TARGET_FORM),
        (b"ftp://example.org/", Reason.TARGET_FORM),
        (b"/a b", Reason.TARGET_CHARACTER),
        (b"/a\0", Reason.TARGET_CHARACTER),
        (b"/a#b", Reason.TARGET_CHARACTER),
        (b"/\xc3\xa9", Reason.TARGET_CHARACTER),
        (b"/" + b"a" * 8192, Reason.TARGET_LONG),
        (b"//evil.org/a", Reason.PATH_SEPARATOR),
        (b"/a\\b", Reason.PATH_SEPARATOR),
        (b"/account%2fx.css", Reason.PATH_SEPARATOR),
        (b"/account%5Cx.css", Reason.PATH_ESCAPE),
        (b"/account%00.css", Reason.PATH_ESCAPE),
        (b"/account%3Fx.css", Reason.PATH_ESCAPE),
        (b"/account%23x.css", Reason.PATH_ESCAPE),
        (b"/account%0Ax.css", Reason.PATH_ESCAPE),
        (b"/account%252e%252e", Reason.PATH_ESCAPE),
        (b"/account.php/x.css", Reason.PATH_TYPE),
        (b"/account.PHP/a/b/x.JS", Reason.PATH_TYPE),
        (b"/account.aspx;s=1/x.png", Reason.PATH_TYPE),
        (b"/account;x.css", Reason.PATH_TYPE),
        (b"/account%3bx.css", Reason.PATH_TYPE),
        (b"http://example.org/account;x.css", Reason.PATH_TYPE),
        (b"/a?b%26c=1", Reason.QUERY_NAME),
        (b"/a?x=1&b%3Dc", Reason.QUERY_NAME),
        (b"/a?x=1&b%00=1", Reason.QUERY_NAME),
        (b"/a?x=b%26c%3Dd", None),
        (b"/account.php/list", None),
        (b"/account.php?x=/x.css", None),
    ],
)
def test_targets_that_are_read_in_two_ways(target: bytes, reason: Reason | None) -> None:
    assert judged(target=target) is reason


def test_a_route_may_allow_what_its_origin_is_known_to_do() -> None:
    assert judged(target=b"/@a%2fb", limits=Limits(encoded_slash=True)) is None
    below = b"/pluginfile.php/7/image.png"
    assert judged(target=below, limits=Limits(files_below_pages=True)) is None
    assert judged(target=b"/a;x.css", limits=Limits(files_below_pages=True)) is Reason.PATH_TYPE


def test_a_long_path_of_separators_is_judged_in_one_pass() -> None:
    # Quadratic patterns take seconds for these; the suite's hang guard is the bound.
    limits = Limits(target_bytes_max=4 << 20)
    for piece in (b";", b".php", b"%3b.", b";a.css;"):
        assert judged(target=b"/" + piece * (1 << 19), limits=limits) is None
    assert judged(target=b"/a.php/" * (1 << 18) + b"x.css", limits=limits) is Reason.PATH_TYPE


def test_methods_versions_and_sizes() -> None:
    assert judged(target=b"*", method=b"OPTIONS") is None
    assert judged(method=b"G T") is Reason.METHOD
    assert judged(method=b"") is Reason.METHOD
    assert judged(version=b"2.0") is Reason.VERSION
    assert judged(version=b"HTTP/1.1") is None
    assert judged(*[(b"A", b"b")] * 100) is Reason.FIELDS_MANY
    assert judged((b"A", b"b" * 33_000)) is Reason.FIELDS_LARGE


def test_every_reason_has_a_status_and_one_sentence() -> None:
    assert RULES.keys() == {*Reason}
    for reason in Reason:
        found = Refusal(reason)
        assert found.status in (400, 414, 431, 501, 505)
        assert found.sentence.endswith(".")
        assert found.sentence.count(". ") == 0


@pytest.mark.parametrize(
    ("path", "kind", "mistaken"),
    [
        ("/account/x.css", "text/html; charset=utf-8", True),
        ("/account/x.JPG", "Text/HTML", True),
        ("/account/x.css", "application/json", True),
        ("/x.css", "text/css", False),
        ("/x.json", "application/json", False),
        ("/x.bin", None, False),
        ("/page.html", "text/html", False),
        ("/account", "text/html", False),
    ],
)
def test_a_page_under_the_name_of_a_file_is_told(
    path: str, kind: str | None, mistaken: bool
) -> None:
    assert mistaken_type(path, kind) is mistaken


BYTES = st.binary(max_size=10)
TRICKY = st.text("aZ0-_. :\t\r\n,;%/?#\\\0", max_size=12).map(str.encode)
NAMES = st.one_of(
    BYTES, TRICKY, st.sampled_from([b"A", b"B-c", b"Host", b"content-length", b"Transfer-Encoding"])
)
VALUES = st.one_of(BYTES, TRICKY, st.sampled_from([b"x", b"3", b"chunked", b"example.org"]))


@given(
    st.one_of(st.just(b"GET"), TRICKY),
    st.one_of(st.just(b"a"), BYTES, TRICKY),
    st.sampled_from([b"1.1", b"1.0"]),
    st.lists(st.tuples(NAMES, VALUES), max_size=3),
)
def test_what_goes_on_is_unambiguous(
    method: bytes, target: bytes, version: bytes, fields: list[tuple[bytes, bytes]]
) -> None:
    head = Head(method, b"/" + target, version, [HOST, *fields])
    if refuse(head) is not None:
        return
    again = b"%s /%s HTTP/%s\r\n" % (method, target, version)
    again += b"".join(b"%s: %s\r\n" % field for field in head.fields) + b"\r\n"
    assert len(again.split(b"\r\n")) == len(head.fields) + 3
    names = [name.lower() for name, _ in head.fields]
    assert names.count(b"host") == 1
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1


FRAMING = st.lists(
    st.tuples(
        st.sampled_from([b"Content-Length", b"content-length", b"Transfer-Encoding"]),
        st.sampled_from([b"3", b"4", b"03", b"chunked", b"CHUNKED", b"gzip", b"chunked, chunked"]),
    ),
    max_size=3,
)


@given(FRAMING)
def test_at_most_one_framing_is_ever_let_through(fields: list[tuple[bytes, bytes]]) -> None:
    if judged(*fields, method=b"POST") is None:
        assert len(fields) <= 1
        for name, value in fields:
            expected = value.isdigit() if name.lower() == b"content-length" else value.lower()
            assert expected in (True, b"chunked")
