"""Which requests share an answer."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.key import CacheKey, NoKey, NoKeyReason, cache_key, normal_path
from skerry.cdn.ports import RoutePolicy

SEGMENT = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="/"), min_size=1
).filter(lambda text: text not in (".", "..") and not any(127 <= ord(c) < 160 for c in text))


def key(
    path: str = "/",
    query: str = "",
    *,
    authority: str = "example.org",
    scheme: str = "https",
    allow: tuple[str, ...] | None = None,
) -> CacheKey | NoKey:
    policy = RoutePolicy(query_allow=allow)
    return cache_key(scheme=scheme, authority=authority, path=path, query=query, policy=policy)


def good(*args: str, authority: str = "example.org", allow: tuple[str, ...] | None = None) -> str:
    found = key(*args, authority=authority, allow=allow)
    assert isinstance(found, CacheKey), found
    return found.text


def refusal(found: CacheKey | NoKey) -> NoKeyReason:
    assert isinstance(found, NoKey), found
    return found.reason


def test_a_key_is_the_whole_url_in_normal_form() -> None:
    assert good("/a/%7eb/%e2%82%ac", "x=1") == "https://example.org/a/~b/%E2%82%AC?x=1"


def test_the_digest_is_what_is_on_disk_and_never_changes() -> None:
    found = key("/firmware/v1.bin", "channel=beta")
    assert isinstance(found, CacheKey)
    assert found.digest == "77e0aeab28111d19276aa21400a87b790325531b"


@pytest.mark.parametrize(
    "authority", ["EXAMPLE.org", "example.org.", "example.org:443", "example.org:0443"]
)
def test_one_host_has_one_spelling(authority: str) -> None:
    assert good("/", authority=authority) == "https://example.org/"


def test_a_port_of_its_own_is_part_of_the_key() -> None:
    assert good("/", authority="example.org:8443") == "https://example.org:8443/"
    assert good("/", authority="[2001:DB8:0::1]:443") == "https://[2001:db8::1]/"


@pytest.mark.parametrize(
    "authority",
    # user information, zones, ports that are none, labels that are none
    ["", "user@example.org", "a b", "a/b", "a?b", "[::1", "[::1]x", "[::1%25eth0]", "[::g]"],
)
def test_what_is_no_host_has_no_key(authority: str) -> None:
    assert refusal(key("/", authority=authority)) is NoKeyReason.HOST


@pytest.mark.parametrize("authority", ["a:b", "a:0", "a:65536", "a:+1", "a:٣", "a:1:2"])
def test_what_is_no_port_has_no_key(authority: str) -> None:
    assert refusal(key("/", authority=authority)) is NoKeyReason.HOST


@pytest.mark.parametrize("authority", ["-a.org", "a..b", "é.org", "x" * 64, "a." * 127 + "a"])
def test_what_is_no_name_of_the_dns_has_no_key(authority: str) -> None:
    assert refusal(key("/", authority=authority)) is NoKeyReason.HOST


def test_http_and_https_are_two_origins() -> None:
    assert key("/", scheme="http") != key("/", scheme="https")
    assert refusal(key("/", scheme="ftp")) is NoKeyReason.SCHEME


@pytest.mark.parametrize(
    "path", ["/..", "/../a", "/a/..", "/a/./b", "/.", "/%2e%2E/a", "/a/%2e", "/.%2e/"]
)
def test_dot_segments_are_refused_not_resolved(path: str) -> None:
    assert refusal(key(path)) is NoKeyReason.DOT_SEGMENT


@pytest.mark.parametrize("path", ["/.well-known/x", "/a..b", "/...", "/a/.b"])
def test_dots_that_are_no_segment_are_names(path: str) -> None:
    assert good(path).endswith(path)


@pytest.mark.parametrize("path", ["/%", "/%2", "/%zz", "/a%00", "/%0d%0aX", "/%7f"])
def test_broken_and_control_escapes_have_no_key(path: str) -> None:
    assert refusal(key(path)) is NoKeyReason.ESCAPE


@pytest.mark.parametrize("path", ["", "a", "*", "/a b", "/a\\b", "/a#b", "/a?b", '/"', "/é", "/\0"])
def test_what_is_no_path_has_no_key(path: str) -> None:
    assert refusal(key(path)) is NoKeyReason.PATH


def test_an_encoded_slash_is_not_a_slash() -> None:
    assert good("/a%2fb") == good("/a%2Fb") != good("/a/b")


def test_the_order_of_parameters_does_not_matter_but_that_of_equal_names_does() -> None:
    assert good("/", "b=2&a=1") == good("/", "a=1&b=2") == good("/", "&a=1&&b=2&")
    assert good("/", "a=1&a=2") != good("/", "a=2&a=1")
    assert good("/", "a%5B%5D=1&a[]=2") != good("/", "a[]=2&a%5B%5D=1")


def test_only_allowed_parameters_count_whatever_their_spelling() -> None:
    assert good("/", "utm=9&v=1&%76=2", allow=("v",)) == "https://example.org/?v=1&v=2"
    assert good("/", "utm=1", allow=()) == "https://example.org/"


def test_what_a_semicolon_hides_goes_with_its_parameter() -> None:
    assert good("/", "utm=1;v=2", allow=("v",)) == "https://example.org/"
    assert good("/", "v=1;utm=2", allow=("v",)) == "https://example.org/?v=1;utm=2"


def test_the_origin_is_asked_for_no_more_than_the_key_has() -> None:
    found = key("/a", "cb=17&v=1", allow=("v",))
    assert isinstance(found, CacheKey)
    assert found.target == "/a?v=1"


@pytest.mark.parametrize(
    "query", ["access_token=x", "a=1&%61ccess_token=x", "TOKEN=x", "X-Amz-Signature=0", "sid"]
)
@pytest.mark.parametrize("allow", [None, (), ("access_token", "TOKEN", "sid")])
def test_a_credential_in_the_query_passes_by_the_cache(
    query: str, allow: tuple[str, ...] | None
) -> None:
    found = key("/", query, allow=allow)
    assert refusal(found) is NoKeyReason.BEARER
    assert isinstance(found, NoKey)
    assert found.passes


def test_a_session_in_the_path_passes_by_the_cache() -> None:
    assert refusal(key("/shop;JSESSIONID=1234")) is NoKeyReason.BEARER


def test_sizes_are_bounded() -> None:
    assert refusal(key("/" + "a" * 8192)) is NoKeyReason.TOO_LONG
    assert refusal(key("/", "&".join(["a"] * 129))) is NoKeyReason.QUERY
    assert refusal(key("/", "a=%00")) is NoKeyReason.ESCAPE
    assert refusal(key("/", "a=%")) is NoKeyReason.ESCAPE
    assert refusal(key("/", "a b")) is NoKeyReason.QUERY


@given(st.lists(SEGMENT, min_size=1, max_size=4))
def test_normalising_a_path_keeps_what_it_names_and_happens_once(segments: list[str]) -> None:
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    normal = normal_path(path)
    assert isinstance(normal, str)
    assert normal_path(normal) == normal
    assert [unquote_to_bytes(s) for s in normal.split("/")[1:]] == [s.encode() for s in segments]


@given(st.lists(SEGMENT, min_size=1, max_size=4), st.data())
def test_however_a_path_is_escaped_it_has_one_key(segments: list[str], data: st.DataObject) -> None:
    def spell(byte: int) -> str:
        plain = chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}"
        return data.draw(st.sampled_from([plain, f"%{byte:02x}", f"%{byte:02X}"]))

    raw = [segment.encode() for segment in segments]
    one, two = ("/" + "/".join("".join(map(spell, s)) for s in raw) for _ in range(2))
    assert normal_path(one) == normal_path(two)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), max_size=8), st.randoms())
def test_shuffling_names_shares_a_key_exactly_when_each_name_keeps_its_order(
    pairs: list[tuple[str, int]], random: object
) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    same = all(
        [v for n, v in pairs if n == m] == [v for n, v in shuffled if n == m] for m in "abcd"
    )
    texts = [good("/", "&".join(f"{n}={v}" for n, v in each)) for each in (pairs, shuffled)]
    assert (texts[0] == texts[1]) == same


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=20))
def test_any_text_either_has_a_key_of_plain_ascii_or_none(
    path: str, query: str, authority: str
) -> None:
    found = key("/" + path, query, authority=authority)
    if isinstance(found, CacheKey):
        assert found.text.isascii()
        assert found.text.isprintable()
        again = key(found.path, found.query, authority=authority)
        assert again == found
