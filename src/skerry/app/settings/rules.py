"""The checks that many settings share, and how each is refused.

Owns single values only: what must hold between settings is in `settings_checks`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from skerry.app.settings.errors import Problem, shown

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


def certificate_trouble(at: str, cert_file: str, key_file: str) -> Iterator[Problem]:
    """Why a certificate and its key cannot be used; nothing when neither is named."""
    if bool(cert_file) != bool(key_file):
        missing = "key_file" if cert_file else "cert_file"
        reason = "a certificate and its key are needed together"
        yield refused(f"{at}.{missing}", "", reason, "set both or none")
    problems = [
        *file_trouble(f"{at}.cert_file", cert_file),
        *file_trouble(f"{at}.key_file", key_file),
    ]
    yield from problems
    if cert_file and key_file and not problems:
        yield from _pair(f"{at}.cert_file", cert_file, key_file)


def _pair(field: str, cert_file: str, key_file: str) -> Iterator[Problem]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            cert_file, key_file, password=lambda: ""
        )
    except (OSError, ssl.SSLError) as error:
        mismatch = getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
        reason = f"does not belong to {key_file}" if mismatch else f"and {key_file} are no pair"
        step = "name PEM files, the chain with the node's own certificate first, the key unlocked"
        yield refused(field, cert_file, reason, step)


def bundle_trouble(field: str, path: str) -> Iterator[Problem]:
    """A file of certificates that is trusted besides the system's."""
    problems = list(file_trouble(field, path))
    yield from problems
    if path and not problems:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except (OSError, ssl.SSLError):
            step = "name a PEM file: -----BEGIN CERTIFICATE----- and so on"
            yield refused(field, path, "holds no certificate", step)
