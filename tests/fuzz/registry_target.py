"""Every parser of what a registry or a token service says, on any bytes.

What must hold: nothing raises but the refusal that is meant, and what comes out is in bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from skerry.base.digest import ALGORITHMS, Digest, InvalidDigest
from skerry.base.errors import BadInput
from skerry.registry.core.errors import RegistryError
from skerry.registry.core.manifests import (
    DESCRIPTOR_SIZE_BYTES_MAX,
    DESCRIPTORS_MAX,
    MEDIA_TYPES,
    InvalidManifest,
    parse_manifest,
)
from skerry.registry.core.names import namespace_of, parse_target
from skerry.registry.core.paging import next_query, tags_in
from skerry.registry.core.referrers import index_of, parse_referrers
from skerry.upstream.core.challenge import CHALLENGES_MAX, choose, parse_challenges
from skerry.upstream.core.guard import literal, origin_of, place_of, realm_refusal
from skerry.upstream.core.judge import extent, judge
from skerry.upstream.core.limits import (
    RETRY_AFTER_SECONDS_MAX,
    remaining_requests,
    retry_after_seconds,
)
from skerry.upstream.core.redirect import Hop, follow
from skerry.upstream.ports import TransportError
from skerry.upstream.tokens import LIFETIME_SECONDS_MAX, parse_token
from skerry.wire.message import Headers

HERE = "https://registry.example:8443/v2/a/blobs/x"
SECRET = Headers((("Authorization", "Bearer secret"), ("Accept", "a")))
_DIGEST = b"sha256:" + b"ab" * 32
_ITEM = b'{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":5}' % _DIGEST
SEEDS = (
    b'{"schemaVersion":2,"config":%s,"layers":[%s],"annotations":{"a":"b"}}' % (_ITEM, _ITEM),
    b'{"schemaVersion":2,"manifests":[%s],"subject":%s}' % (_ITEM, _ITEM),
    b'{"name":"a/b","tags":["1","latest",null]}',
    b'{"token":"abc","expires_in":300,"issued_at":"2026-01-02T03:04:05.123456789Z"}',
    b'{"access_token":"abc","expires_in":1e999}',
    b'Bearer realm="https://auth.example/token",service="a",scope="repository:a:pull"',
    b'Basic realm="x", Bearer realm=\\"y, Negotiate abc==',
    b"https://auth.example@evil.example:99/token?a=b#c",
    b"https://[::ffff:a9fe:a9fe]/",
    b"//evil.example\\@registry.example/..",
    b'</v2/a/tags/list?last=b&n=5>; rel="next", <http://[>; rel=next',
    b"bytes 5-9/10",
    b"Wed, 21 Oct 2015 07:28:00 GMT",
    b"/v2/a/b/manifests/%s?ns=c.example" % _DIGEST,
)
WORDS = (*SEEDS, b'"mediaType":', b'"layers":', b'"digest":', b"sha512:", b"1e400", b"\\u0000")


def manifests(data: bytes) -> None:
    for kind in (None, *MEDIA_TYPES[:2]):
        with suppress(InvalidManifest):
            found = parse_manifest(data, kind)
            assert found.media_type in MEDIA_TYPES
            assert len(found.links) <= DESCRIPTORS_MAX + 1
            assert all(0 <= link.size_bytes <= DESCRIPTOR_SIZE_BYTES_MAX for link in found.links)
            assert all(len(link.child.hex) in ALGORITHMS.values() for link in found.links)


def referrers(data: bytes) -> None:
    with suppress(InvalidManifest):
        found = parse_referrers(data)
        assert parse_referrers(index_of(found)) == found, "what is listed can be read again"


def tag_lists(data: bytes) -> None:
    with suppress(InvalidManifest):
        for name in tags_in(data):
            assert parse_target("GET", f"/v2/a/manifests/{name}", f"/v2/a/manifests/{name}")


def links(data: bytes) -> None:
    query = next_query(data.decode("latin-1"))
    assert query is None or not ({"#", "<", ">"} & set(query))


def tokens(data: bytes) -> None:
    with suppress(TransportError):
        token = parse_token(data, now=1.8e9, monotonic=0.0)
        assert 0 < token.expires_at <= LIFETIME_SECONDS_MAX
        assert token.value.isascii()
        assert token.value.isprintable()


def challenges(data: bytes) -> None:
    text = data.decode("latin-1")
    found = parse_challenges([text, text])
    assert len(found) <= CHALLENGES_MAX
    chosen = choose(found)
    assert chosen is None or chosen.scheme in ("bearer", "basic")


def places(data: bytes) -> None:
    text = data.decode("latin-1")
    origin = origin_of(text)
    if origin is not None:
        assert origin_of(f"{origin}/") == origin, "its own text means itself"
        assert "@" not in origin.host
        assert 0 <= origin.port < 65536
    place_of(text)
    for realm in (text, f"https://{text}", f"https://registry.example:8443{text}"):
        if realm_refusal(realm, source_url=HERE, realms=()) is None:
            found = origin_of(realm)
            assert str(found) == "https://registry.example:8443"


def redirects(data: bytes) -> None:
    hop = follow(HERE, data.decode("latin-1"), SECRET, private_hosts=frozenset(), hops=0)
    if isinstance(hop, Hop):
        origin = origin_of(hop.url)
        assert origin is not None
        assert origin.scheme == "https"
        assert ("Authorization" in hop.headers) == (str(origin) == "https://registry.example:8443")
        address = literal(origin.host)
        assert address is None or (address.is_global and not address.is_multicast)


def heads(data: bytes) -> None:
    text = data.decode("latin-1")
    headers = Headers((
        ("Content-Range", text), ("Content-Length", text), ("Retry-After", text),
        ("RateLimit-Remaining", text), ("Content-Type", text), ("Content-Encoding", text),
    ))  # fmt: skip
    for status in (200, 206, 304, 401, 429):
        judge(status, headers)
        found = extent(status, headers, wanted_offset_bytes=5)
        assert isinstance(found, str) or found.offset_bytes in (0, 5)
    seconds = retry_after_seconds(headers, 1.8e9)
    assert seconds is None or 1 <= seconds <= RETRY_AFTER_SECONDS_MAX
    remaining_requests(headers)


def targets(data: bytes) -> None:
    text = data.decode("latin-1")
    path, _, query = text.partition("?")
    for method in ("GET", "PUT"):
        with suppress(RegistryError):
            found = parse_target(method, path, path, query)
            assert ".." not in str(getattr(found, "name", "")).split("/")
    with suppress(RegistryError, ValueError):
        namespace_of(query)
    with suppress(InvalidDigest, BadInput):
        assert str(Digest.parse(text)) == text


CHECKS: tuple[Callable[[bytes], None], ...] = (
    manifests, referrers, tag_lists, links, tokens, challenges, places, redirects, heads, targets,
)  # fmt: skip


def run(data: bytes) -> None:
    """The first byte chooses the parser, so that a fuzzer can stay with one."""
    if data:
        CHECKS[data[0] % len(CHECKS)](data[1:])


def seeds() -> list[bytes]:
    return [bytes([which]) + seed for which in range(len(CHECKS)) for seed in SEEDS]
