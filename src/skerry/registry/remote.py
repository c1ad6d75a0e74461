"""A configured upstream as the registry sees it, and the requests it is asked.

Owns the `/v2/` paths, headers and scopes of distribution-spec 1.1 pulls. Never sends anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from skerry.base.digest import Digest
from skerry.registry.core.accept import UPSTREAM_ACCEPT
from skerry.upstream.client import UpstreamClient
from skerry.upstream.ports import Fetch
from skerry.wire.message import Headers

_ACCEPT = Headers(("Accept", value) for value in UPSTREAM_ACCEPT)
_INDEX = Headers((("Accept", "application/vnd.oci.image.index.v1+json"),))


@dataclass(frozen=True, slots=True)
class Remote:
    """One upstream.

    Attributes:
        private: pulling from it needs this node's own credentials.
    """

    name: str
    client: UpstreamClient
    private: bool = False


def manifest_fetch(method: str, name: str, reference: str) -> Fetch:
    """A manifest by tag or digest, in every media type there is."""
    return Fetch(method, f"/v2/{name}/manifests/{reference}", _ACCEPT, scope=_pull(name))


def blob_fetch(method: str, name: str, digest: Digest) -> Fetch:
    """A blob by digest."""
    return Fetch(method, f"/v2/{name}/blobs/{digest}", scope=_pull(name))


def tags_fetch(name: str, query: str) -> Fetch:
    """One page of a tag list."""
    return Fetch("GET", f"/v2/{name}/tags/list", query=query, scope=_pull(name))


def referrers_fetch(name: str, digest: Digest) -> Fetch:
    """What refers to a manifest."""
    return Fetch("GET", f"/v2/{name}/referrers/{digest}", _INDEX, scope=_pull(name))


def _pull(name: str) -> str:
    return f"repository:{name}:pull"
