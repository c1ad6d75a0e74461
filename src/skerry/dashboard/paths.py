"""Which paths of the admin door are pages.

Owns the list alone, so that a node knows them before it has loaded what makes a page.
"""

from __future__ import annotations

PAGES = frozenset(
    ("/", "/image", "/images", "/objects", "/upstreams", "/fills", "/events", "/incidents",
     "/horizon", "/costs", "/settings", "/jobs", "/login", "/logout")
)  # fmt: skip
BELOW = ("/static/", "/live/", "/actions/")


def is_page(path: str) -> bool:
    """Whether the pages answer for a path, if only by saying that there is none."""
    return path in PAGES or path.startswith(BELOW)
