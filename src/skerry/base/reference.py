"""Image references: what people type and what `/v2/` paths carry.

Owns the grammars of distribution-spec 1.1 ("name", "reference") and of the familiar form
`[host[:port]/]name[:tag][@digest]`. Names that fail the grammar never reach a path or a URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from skerry.base.digest import Digest
from skerry.base.errors import BadInput

NAME_LENGTH_MAX = 255
"""Host and name together, in characters: what most clients accept (requirements, section 9)."""

_NAME = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z"
)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\Z")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Exactly one dot between labels: an optional one could be read in exponentially many ways.
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9a-fA-F:]{{2,45}}\])(?::\d{{1,5}})?\Z")

HUB = "docker.io"
"""What a bare name means to every Docker-lineage client."""


class InvalidReference(BadInput):
    """Not an image reference."""


def is_name(text: str) -> bool:
    """Whether text is a repository name of distribution-spec 1.1."""
    return len(text) <= NAME_LENGTH_MAX and _NAME.match(text) is not None


def is_tag(text: str) -> bool:
    """Whether text is a tag of distribution-spec 1.1."""
    return _TAG.match(text) is not None


def looks_like_host(component: str) -> bool:
    """Whether the first part of a familiar reference is a registry host rather than a name."""
    return ("." in component or ":" in component or component == "localhost") and bool(
        _HOST.match(component)
    )


@dataclass(frozen=True, slots=True)
class Reference:
    """One image: registry host, repository name and a tag, a digest or both."""

    host: str
    name: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Reads the familiar form, as `docker pull` does. Raises InvalidReference.

        `nginx` is `docker.io/library/nginx:latest`; a digest without a tag stays without one.
        """
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        head, slash, tail = rest.partition("/")
        host, name = (head, tail) if slash and looks_like_host(head) else (HUB, rest)
        name, colon, tag = name.partition(":")
        if host == HUB and "/" not in name:
            name = f"library/{name}"
        if not is_name(name) or (colon and not is_tag(tag)):
            raise InvalidReference(
                f"{text[:300]!r} is not an image reference",
                next_step="write [host/]name[:tag][@digest] in lower case",
            )
        return cls(host, name, tag if colon else (None if digest else "latest"), digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.name}{tag}{digest}"
