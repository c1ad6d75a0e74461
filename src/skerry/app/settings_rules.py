"""The checks that many settings share, and how each is refused.

Owns single values only: what must hold between settings is in `settings_checks`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from skerry.app.settings_errors import Problem, shown

READ_STEP = "check that it is there and that this user may read it"


def refused(field: str, value: object, reason: str, next_step: str) -> Problem:
    """One wrong setting, its value masked where it is a secret."""
    return Problem(field, shown(field, value), reason, next_step)


def file_trouble(field: str, path: str) -> Iterator[Problem]:
    """Why a named file cannot be used; nothing when none is named."""
    if path and not (os.path.isfile(path) and os.access(path, os.R_OK)):
        yield refused(field, path, "there is no such file that can be read", READ_STEP)


def url_trouble(field: str, url: str, *, plain_http: bool, path: bool = False) -> Iterator[Problem]:
    """Why a URL is refused; `path` allows one in it."""
    step = "write https://host[:port]"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no port
    except ValueError:
        yield refused(field, url, "is not a URL", step)
        return
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield refused(field, url, "is not an http or https URL", step)
        return
    if parts.username is not None or parts.password is not None:
        better = "use username and password_file"
        yield refused(field, url, "must not carry a user or password", better)
    if parts.query or parts.fragment:
        yield refused(field, url, "must not have a query or fragment", step)
    if not path and parts.path not in ("", "/"):
        yield refused(field, url, "must not have a path", "put a repository prefix into prefix")
    if parts.scheme == "http" and not plain_http:
        better = "use https, or set plain_http = true if that network may be trusted"
        yield refused(field, url, "is not encrypted", better)
