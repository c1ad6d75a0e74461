"""What a `/v2` request asks for, and whose repository that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.digest import Digest
from skerry.base.errors import BadInput
from skerry.base.reference import is_name
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.names import (
    BaseTarget,
    BlobTarget,
    CatalogTarget,
    ManifestTarget,
    NameTable,
    ReferrersTarget,
    TagsTarget,
    Target,
    UploadsTarget,
    UploadTarget,
    UpstreamName,
    namespace_of,
    parse_target,
    resolve,
)
from skerry.registry.ports import LOCAL, Repository

HEX = "a" * 64
DIGEST = Digest("sha256", HEX)
TABLE = NameTable(
    upstreams=(
        UpstreamName("docker.io", bare_names=True),
        UpstreamName("ghcr.io", aliases=("ghcr.example",)),
        UpstreamName("registry.lan:5000"),
    ),
    local_namespaces=("local/*", "team"),
    own=frozenset({"node.lan:5000"}),
)


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/v2/", BaseTarget()),
        ("GET", "/v2", BaseTarget()),
        ("GET", "/v2/_catalog", CatalogTarget()),
        ("GET", "/v2/nginx/manifests/latest", ManifestTarget("nginx", "latest")),
        ("HEAD", f"/v2/a/b/manifests/sha256:{HEX}", ManifestTarget("a/b", DIGEST)),
        ("GET", f"/v2/a/blobs/sha256:{HEX}", BlobTarget("a", DIGEST)),
        ("GET", f"/v2/a/blobs/sha512:{'b' * 128}", BlobTarget("a", Digest("sha512", "b" * 128))),
        ("GET", "/v2/a/tags/list", TagsTarget("a")),
        ("GET", f"/v2/a/referrers/sha256:{HEX}", ReferrersTarget("a", DIGEST)),
        ("POST", "/v2/a/blobs/uploads/", UploadsTarget("a")),
        ("POST", "/v2/a/blobs/uploads", UploadsTarget("a")),
        ("PATCH", "/v2/a/blobs/uploads/0f-_9", UploadTarget("a", "0f-_9")),
        ("GET", "/v2/registry.lan:5000/a/tags/list", TagsTarget("registry.lan:5000/a")),
        # Words of the routes are good names, too.
        ("GET", "/v2/blobs/tags/manifests/v1", ManifestTarget("blobs/tags", "v1")),
        ("GET", "/v2/manifests/tags/list", TagsTarget("manifests")),
        ("GET", "/v2/a/tags/manifests/list", ManifestTarget("a/tags", "list")),
    ],
)
def test_every_route_of_the_spec_is_read(method: str, path: str, wanted: Target) -> None:
    assert parse_target(method, path, path) == wanted


@pytest.mark.parametrize(
    ("path", "raw", "code"),
    [
        ("/v2/../etc/manifests/x", "", Code.NAME_INVALID),
        ("/v2/a/../b/manifests/x", "", Code.NAME_INVALID),
        ("/v2/a//b/manifests/x", "", Code.NAME_INVALID),
        ("/v2//manifests/x", "", Code.NAME_INVALID),
        ("/v2/manifests/x", "", Code.NAME_INVALID),
        ("/v2/Nginx/manifests/x", "", Code.NAME_INVALID),
        ("/v2/Docker.io/nginx/manifests/x", "", Code.NAME_INVALID),
        ("/v2/a\0b/manifests/x", "", Code.NAME_INVALID),
        ("/v2/a\n/manifests/x", "", Code.NAME_INVALID),
        (f"/v2/{'a' * 300}/manifests/x", "", Code.NAME_INVALID),
        ("/v2/a/b/manifests/x", "/v2/a%2Fb/manifests/x", Code.NAME_INVALID),
        ("/v2/a/b/manifests/x", "/v2/a/b/manifests%2fx", Code.NAME_INVALID),
        ("/v2/a/manifests/x", "/v2/%2e%2e/a/manifests/x", Code.NAME_INVALID),
        ("/v2/a%2fb/manifests/x", "/v2/a%252fb/manifests/x", Code.NAME_INVALID),
        ("/v2/a/blobs/sha256:../../etc/passwd", "", Code.UNSUPPORTED),
        (f"/v2/a/blobs/sha256:{'A' * 64}", "", Code.DIGEST_INVALID),
        (f"/v2/a/blobs/sha256:{'a' * 63}", "", Code.DIGEST_INVALID),
        (f"/v2/a/blobs/sha512:{'a' * 64}", "", Code.DIGEST_INVALID),
        (f"/v2/a/blobs/md5:{'a' * 32}", "", Code.DIGEST_INVALID),
        ("/v2/a/blobs/latest", "", Code.DIGEST_INVALID),
        ("/v2/a/referrers/..", "", Code.DIGEST_INVALID),
        ("/v2/a/manifests/sha256:xyz", "", Code.DIGEST_INVALID),
        ("/v2/a/manifests/.INVALID", "", Code.MANIFEST_UNKNOWN),
        (f"/v2/a/manifests/{'t' * 129}", "", Code.MANIFEST_UNKNOWN),
        ("/v2/a/nothing/x", "", Code.UNSUPPORTED),
        ("/v1/a", "", Code.UNSUPPORTED),
        ("", "", Code.UNSUPPORTED),
    ],
)
def test_t18_a_name_or_digest_that_could_be_a_path_is_refused(
    path: str, raw: str, code: Code
) -> None:
    with pytest.raises(RegistryError) as caught:
        parse_target("GET", path, raw or path)
    assert caught.value.code is code
    assert caught.value.status in (400, 404)


def test_an_encoded_colon_is_no_trick() -> None:
    raw = f"/v2/a/manifests/sha256%3A{HEX}"
    assert parse_target("GET", f"/v2/a/manifests/sha256:{HEX}", raw) == ManifestTarget("a", DIGEST)


def test_a_method_that_a_route_has_not_is_405_and_says_which_it_has() -> None:
    with pytest.raises(RegistryError) as caught:
        parse_target("POST", "/v2/a/tags/list")
    assert (caught.value.status, dict(caught.value.headers)["Allow"]) == (405, "GET, HEAD")


def test_a_bad_tag_is_invalid_to_push_and_unknown_to_pull() -> None:
    with pytest.raises(RegistryError) as caught:
        parse_target("PUT", "/v2/a/manifests/-bad")
    assert (caught.value.code, caught.value.status) == (Code.MANIFEST_INVALID, 400)


def test_a_query_without_bounds_is_refused() -> None:
    for query in ("a&" * 70, "x" * 9000):
        with pytest.raises(RegistryError) as caught:
            parse_target("GET", "/v2/", "/v2/", query)
        assert caught.value.status == 400


PARTS = st.text(st.sampled_from("abz09._-/:%.AZ\0 \\"), max_size=40)


@given(st.sampled_from(["GET", "PUT", "DELETE"]), st.lists(PARTS, max_size=5))
def test_any_path_gives_a_safe_target_or_a_spec_error(method: str, parts: list[str]) -> None:
    path = "/v2/" + "/".join(parts)
    try:
        target = parse_target(method, path, path)
    except RegistryError as error:
        refused = error.status
    else:
        refused = 0
    assert refused == 0 or 400 <= refused < 500
    if refused:
        return
    name = getattr(target, "name", "a")
    assert is_name(name) or is_name(name.partition("/")[2])
    assert ".." not in name.split("/")
    assert "" not in name.split("/")


@given(
    st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,3}", fullmatch=True),
    st.from_regex(r"\w[\w.-]{0,20}", fullmatch=True).filter(str.isascii),
)
def test_a_valid_name_and_tag_come_back_as_they_went_in(name: str, tag: str) -> None:
    assert parse_target("GET", f"/v2/{name}/manifests/{tag}") == ManifestTarget(name, tag)


@pytest.mark.parametrize(
    ("name", "ns", "wanted"),
    [
        ("library/nginx", "docker.io", Repository("docker.io", "library/nginx")),
        ("nginx", "docker.io", Repository("docker.io", "library/nginx")),
        ("nginx", "registry-1.docker.io", Repository("docker.io", "library/nginx")),
        ("nginx", "GHCR.IO", Repository("ghcr.io", "nginx")),
        ("nginx", "ghcr.example", Repository("ghcr.io", "nginx")),
        ("a/b", "registry.lan:5000", Repository("registry.lan:5000", "a/b")),
        # ns= wins, and the path is then taken as it is.
        ("ghcr.io/a", "docker.io", Repository("docker.io", "ghcr.io/a")),
        ("local/app", "ghcr.io", Repository("ghcr.io", "local/app")),
        # The path form.
        ("docker.io/library/nginx", None, Repository("docker.io", "library/nginx")),
        ("docker.io/nginx", None, Repository("docker.io", "library/nginx")),
        ("ghcr.example/a/b", None, Repository("ghcr.io", "a/b")),
        ("registry.lan:5000/a", None, Repository("registry.lan:5000", "a")),
        # This node's own names are no namespace.
        ("local/app", "node.lan:5000", Repository(LOCAL, "local/app")),
        ("nginx", "127.0.0.1:5000", Repository("docker.io", "library/nginx")),
        # Local before bare.
        ("local/app", None, Repository(LOCAL, "local/app")),
        ("team", None, Repository(LOCAL, "team")),
        ("local", None, Repository("docker.io", "library/local")),
        ("library/nginx", None, Repository("docker.io", "library/nginx")),
        ("nginx", "", Repository("docker.io", "library/nginx")),
    ],
)
def test_a_name_is_given_to_one_upstream(name: str, ns: str | None, wanted: Repository) -> None:
    assert resolve(name, ns, TABLE, authority="127.0.0.1:5000") == wanted


@pytest.mark.parametrize(
    ("name", "ns"),
    [
        ("a", "quay.io"),
        ("a", "169.254.169.254"),
        ("a", "localhost"),
        ("a", "docker.io.evil.example"),
        ("quay.io/a/b", None),
        ("localhost/a", None),
        ("10.0.0.1:80/a", None),
    ],
)
def test_t7_an_upstream_that_is_not_configured_does_not_exist(name: str, ns: str | None) -> None:
    with pytest.raises(RegistryError, match="not configured") as caught:
        resolve(name, ns, TABLE)
    assert (caught.value.code, caught.value.status) == (Code.NAME_UNKNOWN, 404)


def test_a_path_that_is_no_name_is_refused_even_under_a_namespace() -> None:
    with pytest.raises(RegistryError) as caught:
        resolve("registry.lan:5000/a", "docker.io", TABLE)
    assert caught.value.code is Code.NAME_INVALID


def test_t19_one_name_at_two_upstreams_is_two_repositories() -> None:
    assert resolve("a/b", "docker.io", TABLE) != resolve("a/b", "ghcr.io", TABLE)


def test_without_an_upstream_for_bare_names_they_are_unknown() -> None:
    table = NameTable(upstreams=(UpstreamName("ghcr.io"),))
    with pytest.raises(RegistryError, match="bare_names"):
        resolve("nginx", None, table)


def test_one_host_cannot_name_two_upstreams() -> None:
    with pytest.raises(BadInput, match="two upstreams"):
        NameTable((UpstreamName("a.example"), UpstreamName("b.example", ("A.example",))))


def test_the_namespace_is_read_from_the_query() -> None:
    assert namespace_of("n=1&ns=docker.io") == "docker.io"
    assert namespace_of("ns=registry.lan%3A5000") == "registry.lan:5000"
    assert namespace_of("dns=1") is None
    assert namespace_of("ns=a.io&ns=a.io") == "a.io"
    with pytest.raises(RegistryError, match="two namespaces"):
        namespace_of("ns=a.io&ns=b.io")
