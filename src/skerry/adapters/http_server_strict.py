"""What a door refuses unread, and the words for it.

Owns the judgement over a head's framing, sizes, version, target and `Host`, the same for every
front, and what a failure of the parser is called. Never repairs: what two readers of a connection
may read in two ways is refused (RFC 9112 section 11.2). Reasons are bounded: a metric label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import httptools

if TYPE_CHECKING:
    from skerry.adapters.http_server_state import DoorLimits

Field = tuple[bytes, bytes]


class Reason(StrEnum):
    """Why. Bounded: a metric label."""

    METHOD = "method"
    TARGET = "target"
    TARGET_LONG = "target_long"
    TARGET_HOST = "target_host"
    VERSION = "version"
    HTTP2 = "http2"
    TLS = "tls"
    LINE_END = "line_end"
    SPACE = "space"
    FIELD = "field"
    FIELDS_LARGE = "fields_large"
    HOST = "host"
    MISDIRECTED = "misdirected"
    LENGTH = "length"
    LENGTH_AND_CODING = "length_and_coding"
    CODING = "coding"
    CHUNK = "chunk"
    SYNTAX = "syntax"
    SLOW = "slow"
    CROWDED = "crowded"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One clear error; the connection closes behind it. The sentence quotes nothing."""

    status: int
    reason: Reason
    sentence: str


NOT_HTTP = Refusal(400, Reason.SYNTAX, "the request is not HTTP/1.1")
OLD_OR_NEW = Refusal(505, Reason.VERSION, "this door speaks HTTP/1.0 and HTTP/1.1")
UNKNOWN_METHOD = Refusal(501, Reason.METHOD, "the method is not known here")
NO_TARGET = Refusal(400, Reason.TARGET, "the request target is neither a path nor an http URL")
ONE_HOST = Refusal(400, Reason.HOST, "a request carries exactly one Host field")
OTHER_HOST = Refusal(
    400, Reason.TARGET_HOST, "the request target names another host than the Host field"
)
MISDIRECTED = Refusal(
    421, Reason.MISDIRECTED, "this connection was made for a host with another certificate"
)
CHUNKED_ONLY = Refusal(400, Reason.CODING, "the only transfer coding here is chunked, in HTTP/1.1")

_PARSER_SAYS: tuple[tuple[str, Refusal], ...] = (
    ("PRI/Upgrade", Refusal(505, Reason.HTTP2, "this door does not speak HTTP/2")),
    ("HTTP version", OLD_OR_NEW),
    ("Transfer-Encoding can't be present",
     Refusal(400, Reason.LENGTH_AND_CODING, "a length and a transfer coding exclude each other")),
    ("Content-Length can't be present",
     Refusal(400, Reason.LENGTH_AND_CODING, "a length and a transfer coding exclude each other")),
    ("Content-Length", Refusal(400, Reason.LENGTH, "a request has one Content-Length, a number")),
    ("Transfer-Encoding", CHUNKED_ONLY),
    ("hunk", Refusal(400, Reason.CHUNK, "the chunked body cannot be read")),
    ("whitespace", Refusal(400, Reason.SPACE, "a field's line begins or ends with a blank")),
    ("space after start line", Refusal(400, Reason.SPACE, "a blank stands before the first field")),
    ("CRLF", Refusal(400, Reason.LINE_END, "every line ends with CR LF")),
    ("LF", Refusal(400, Reason.LINE_END, "every line ends with CR LF")),
    ("CR", Refusal(400, Reason.LINE_END, "every line ends with CR LF")),
    ("eader", Refusal(400, Reason.FIELD, "a header field cannot be read")),
)  # fmt: skip
"""What llhttp calls it (llhttp_get_error_reason), by the first part that fits."""

_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} ")
_DEFAULT_PORT = re.compile(rb":(?:80|443)?\Z")


def judge_head(
    method: bytes, target: bytes, version: str, fields: Sequence[Field], limits: DoorLimits
) -> Refusal | None:
    """Why a head is refused that the parser took; None when it may go on."""
    if len(target) > limits.url_bytes_max:
        sentence = f"the target is longer than {limits.url_bytes_max} bytes"
        return Refusal(414, Reason.TARGET_LONG, sentence)
    size = len(target) + sum(len(name) + len(value) + 4 for name, value in fields)
    if size > limits.header_bytes_max or len(fields) > limits.header_count_max:
        return too_large(limits)
    if version not in ("1.0", "1.1"):
        return OLD_OR_NEW
    if method == b"CONNECT":
        return UNKNOWN_METHOD  # this is no forward proxy (RFC 9110 section 9.3.6)
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return ONE_HOST
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version == "1.0"):
        # Two readers of one such body may see two requests (RFC 9112 section 6.1).
        return CHUNKED_ONLY
    return None if target.startswith(b"/") else _other_forms(method, target, hosts)


def _other_forms(method: bytes, target: bytes, hosts: Sequence[bytes]) -> Refusal | None:
    """Absolute-form and asterisk-form (RFC 9112 sections 3.2.2 and 3.2.4)."""
    if target == b"*":
        return None if method == b"OPTIONS" else NO_TARGET
    absolute = _ABSOLUTE.match(target)
    if absolute is None or not absolute[1] or b"@" in absolute[1]:
        return NO_TARGET
    # Section 3.2.2 lets the target win: who sends two hopes that the next one picks the other.
    if hosts and _plain(hosts[0]) != _plain(absolute[1]):
        return OTHER_HOST
    return None


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of a target that `judge_head` let through."""
    absolute = _ABSOLUTE.match(target)
    path, _, query = (target[absolute.end() :] if absolute else target).partition(b"?")
    return path or b"/", query.partition(b"#")[0]


def announces_body(fields: Sequence[Field]) -> bool:
    """Whether a body follows a head (RFC 9112 section 6.3)."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
        for name, value in fields
    )


def too_large(limits: DoorLimits) -> Refusal:
    """A head over the limits."""
    sentence = (
        f"the header has more than {limits.header_bytes_max} bytes"
        f" or {limits.header_count_max} fields"
    )
    return Refusal(431, Reason.FIELDS_LARGE, sentence)


def refusal_of(error: Exception, data: bytes) -> Refusal:
    """What the parser could not read, in our words; `data` begins with it, or is empty."""
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        if data[:1] == b"\x16":  # a handshake record (RFC 8446 section 5.1)
            return Refusal(400, Reason.TLS, "this door does not speak TLS: ask by http://")
        return UNKNOWN_METHOD if _METHOD.match(data) else NOT_HTTP
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return NO_TARGET
    said = str(error)
    return next((refusal for part, refusal in _PARSER_SAYS if part in said), NOT_HTTP)


def _plain(authority: bytes) -> bytes:
    """An authority for comparison: case and a default port do not count."""
    return _DEFAULT_PORT.sub(b"", authority.lower())
