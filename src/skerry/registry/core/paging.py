"""One page of a list of names, ours and an upstream's.

Owns `n`, `last` and `Link` of distribution-spec 1.1 "Listing Tags". Never fetches names: it is
given all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from skerry.base.reference import is_tag
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.manifests import load_object

DIGITS_MAX = 9
LAST_CHARS_MAX = 255
LISTING_BYTES_MAX = 4 * 2**20
LINK_CHARS_MAX = 8192
# No part can run over the start of the next link: read in one pass, whatever an upstream sends.
_NEXT = re.compile(r'<([^<>]{1,2000})>\s*;[^,<]*\brel="?next"?')


@dataclass(frozen=True, slots=True)
class Page:
    """Names in ASCII order; `next_last` is where the next page starts, None on the last one."""

    names: tuple[str, ...]
    next_last: str | None = None
    n: int | None = None

    def link(self, path: str, **parameters: str) -> tuple[tuple[str, str], ...]:
        """The `Link` field to the next page, () on the last one.

        `path` is the encoded path of the list; `parameters` are kept, such as containerd's `ns`.
        """
        if self.next_last is None:
            return ()
        query = {**parameters, "n": str(self.n), "last": self.next_last}
        text = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
        return (("Link", f'<{path}?{text}>; rel="next"'),)


def page(names: Iterable[str], n: str | None, last: str | None) -> Page:
    """The page that `n` and `last`, as the client wrote them, ask for.

    `n=0` is an empty page without a next one; `last` need not exist. Raises RegistryError
    (PAGINATION_NUMBER_INVALID).
    """
    if last is not None and len(last) > LAST_CHARS_MAX:
        raise RegistryError(Code.PAGINATION_NUMBER_INVALID, "last is too long", detail=last)
    ordered = sorted(name for name in set(names) if last is None or name > last)
    if n is None or n == "":
        return Page(tuple(ordered))
    if not (n.isascii() and n.isdecimal() and len(n) <= DIGITS_MAX):
        raise RegistryError(
            Code.PAGINATION_NUMBER_INVALID, "n is not a number of entries", detail=n
        )
    count = int(n)
    shown = tuple(ordered[:count])
    return Page(shown, shown[-1] if shown and len(ordered) > count else None, count)


def next_query(link: str) -> str | None:
    """The query of an upstream's next page, None on the last one.

    The query alone: wherever a `Link` points, the next page is asked for at the same place (T5).
    """
    following = _NEXT.search(link[:LINK_CHARS_MAX])
    return None if following is None else following[1].partition("#")[0].partition("?")[2]


def tags_in(body: bytes) -> list[str]:
    """The names of an upstream's page; those that are no tags are passed over.

    Raises InvalidManifest.
    """
    names = load_object(body, bytes_max=LISTING_BYTES_MAX).get("tags")
    if not isinstance(names, list):  # `null` is how distribution says "none"
        return []
    return [name for name in names if isinstance(name, str) and is_tag(name)]
