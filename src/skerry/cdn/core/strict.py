"""What the front door refuses before any cache logic.

Owns the judgement over a request's raw head: shapes that two parsers read in two ways (RFC 9112
section 11.2), sizes, and paths made to look like another type. Never repairs: what is autocorrected
here is smuggled past the next one (RFC 9112 section 3.2). Each refusal is a value with a bounded
reason, a status and one sentence that quotes nothing of the request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from skerry.cdn.core.key import normal_authority

Field = tuple[bytes, bytes]


class Reason(StrEnum):
    """Why. Bounded: a metric label."""

    METHOD = "method"
    VERSION = "version"
    TARGET_FORM = "target_form"
    TARGET_CHARACTER = "target_character"
    TARGET_LONG = "target_long"
    FIELDS_MANY = "fields_many"
    FIELDS_LARGE = "fields_large"
    FIELD_NAME = "field_name"
    SPACE_BEFORE_COLON = "space_before_colon"
    FIELD_VALUE = "field_value"
    LINE_FOLDING = "line_folding"
    HOST_MISSING = "host_missing"
    HOST_SEVERAL = "host_several"
    HOST_INVALID = "host_invalid"
    HOST_MISMATCH = "host_mismatch"
    LENGTH_AND_CODING = "length_and_coding"
    LENGTH_SEVERAL = "length_several"
    LENGTH_INVALID = "length_invalid"
    CODING_SEVERAL = "coding_several"
    CODING_UNKNOWN = "coding_unknown"
    CODING_OLD_VERSION = "coding_old_version"
    CONNECTION_OPTION = "connection_option"
    PATH_SEPARATOR = "path_separator"
    PATH_ESCAPE = "path_escape"
    PATH_TYPE = "path_type"
    QUERY_NAME = "query_name"


RULES: dict[Reason, tuple[int, str]] = {
    # RFC 9112 section 3: method, target and version
    Reason.METHOD: (400, "The method is not a token."),
    Reason.VERSION: (505, "Only HTTP/1.0 and HTTP/1.1 are spoken here."),
    Reason.TARGET_FORM: (400, "The request target is neither a path nor an http URL."),
    Reason.TARGET_CHARACTER: (400, "The request target holds a control or foreign character."),
    Reason.TARGET_LONG: (414, "The request target is too long."),
    # RFC 6585 section 5
    Reason.FIELDS_MANY: (431, "The request has too many header fields."),
    Reason.FIELDS_LARGE: (431, "The request's header fields are too large."),
    # RFC 9112 sections 2.2, 5.1 and 5.2, RFC 9110 sections 5.1 and 5.5
    Reason.FIELD_NAME: (400, "A header field's name is not a token, or imitates a framing field."),
    Reason.SPACE_BEFORE_COLON: (400, "There is whitespace before a header field's colon."),
    Reason.FIELD_VALUE: (400, "A header field's value holds a control character."),
    Reason.LINE_FOLDING: (400, "Obsolete line folding is not accepted."),
    # RFC 9112 section 3.2 and 3.2.2, RFC 9110 section 7.2
    Reason.HOST_MISSING: (400, "The request has no Host field."),
    Reason.HOST_SEVERAL: (400, "The request has more than one Host field."),
    Reason.HOST_INVALID: (400, "The Host field names no host."),
    Reason.HOST_MISMATCH: (400, "The request target names another host than the Host field."),
    # RFC 9112 sections 6.1 to 6.3
    Reason.LENGTH_AND_CODING: (400, "Content-Length and Transfer-Encoding exclude each other."),
    Reason.LENGTH_SEVERAL: (400, "The request has more than one Content-Length."),
    Reason.LENGTH_INVALID: (400, "The Content-Length is not a number."),
    Reason.CODING_SEVERAL: (400, "The Transfer-Encoding is not chunked, once and alone."),
    Reason.CODING_UNKNOWN: (501, "Only the chunked transfer coding is understood."),
    Reason.CODING_OLD_VERSION: (400, "HTTP/1.0 has no Transfer-Encoding."),
    # RFC 9110 section 7.6.1
    Reason.CONNECTION_OPTION: (400, "The Connection field names a field meant for everybody."),
    # Cache deception: the origin and the cache must see one path (RFC 3986 section 7.3)
    Reason.PATH_SEPARATOR: (400, "The path holds a separator that is read in more than one way."),
    Reason.PATH_ESCAPE: (400, "The path holds an escape that is read in more than one way."),
    Reason.PATH_TYPE: (400, "The path looks like a static file behind a page."),
    Reason.QUERY_NAME: (400, "A query parameter's name hides a separator."),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One clear error. The connection must be closed after it: its framing is in doubt."""

    reason: Reason

    @property
    def status(self) -> int:
        """The status code to answer."""
        return RULES[self.reason][0]

    @property
    def sentence(self) -> str:
        """For the body of the answer; quotes nothing of the request."""
        return RULES[self.reason][1]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a head may weigh; RFC 9112 section 3 wants request lines of 8000 octets to work.

    `encoded_slash` lets `%2F` through, for origins that have it in names (npm, model hubs), and
    `files_below_pages` `/page.php/file.png`, for applications that serve files so (Moodle,
    MediaWiki).
    """

    target_bytes_max: int = 8192
    fields_max: int = 100
    fields_bytes_max: int = 32 * 1024
    encoded_slash: bool = False
    files_below_pages: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head as it came. Field values are without the whitespace around them."""

    method: bytes
    target: bytes
    version: bytes
    fields: Sequence[Field]


DEFAULT_LIMITS = Limits()

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_TARGET = re.compile(rb"[\x00-\x20\x7f-\xff#]")
_DIGITS = re.compile(rb"[0-9]{1,18}\Z")
_ABSOLUTE = re.compile(rb"(https?)://([^/?]*)(.*)\Z", re.IGNORECASE | re.DOTALL)
_FRAMING = {b"content-length", b"transfer-encoding", b"host"}
_EVERYBODYS = _FRAMING | {
    b"age", b"authorization", b"cache-control", b"content-encoding", b"content-range",
    b"content-type", b"cookie", b"date", b"etag", b"expires", b"forwarded", b"if-match",
    b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since", b"range",
    b"set-cookie", b"vary", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"cdn-loop",
}  # fmt: skip
# Encoded NUL and controls, `\`, `?`, `#`, and a percent sign that starts a second escape.
_CONFUSING = re.compile(rb"%(?:[01][0-9a-f]|7f|5c|3f|23|25[0-9a-f]{2})", re.IGNORECASE)
_STATIC = frozenset(
    b"7z avif bin bmp bz2 css csv eot exe gif gz ico jpeg jpg js json map mjs mp3 mp4 ogg otf pdf "
    b"png svg svgz swf tar tif tiff ttf txt wasm webm webp woff woff2 xml zip".split()
)
_DYNAMIC = frozenset(
    b"action asp aspx ashx cfm cgi do jsf jsp php php3 php4 php5 php7 php8 phtml pl".split()
)
_OF_ANY_TYPE = frozenset({b"xml", b"txt"})
_QUERY_NAME = re.compile(rb"%(?:00|0a|0d|26|3d|3b|25[0-9a-f]{2})", re.IGNORECASE)


def refuse(head: Head, limits: Limits = DEFAULT_LIMITS) -> Refusal | None:
    """Why this head is refused; None when it may go on."""
    reason = (
        _line(head, limits)
        or _fields(head.fields, limits)
        or _framing(head)
        or _host(head)
        or _path(head.target, limits)
    )
    return Refusal(reason) if reason is not None else None


def mistaken_type(path: str, content_type: str | None) -> bool:
    """Whether an answer's type gives the lie to its path: a page under the name of a static file.

    Such an answer is served and never stored: it is how a private page gets into a cache when the
    origin ignores the end of a path.
    """
    ending = _ending(path.rpartition("/")[2].lower().encode("latin-1", "replace"))
    kind = (content_type or "").partition(";")[0].strip().lower()
    if ending not in _STATIC or ending in _OF_ANY_TYPE:
        return False
    return kind in ("text/html", "application/xhtml+xml") or (
        kind == "application/json" and ending not in (b"json", b"map")
    )


def _line(head: Head, limits: Limits) -> Reason | None:
    if not _TOKEN.match(head.method) or len(head.method) > 32:
        return Reason.METHOD
    if head.version not in (b"1.1", b"1.0", b"HTTP/1.1", b"HTTP/1.0"):
        return Reason.VERSION
    if len(head.target) > limits.target_bytes_max:
        return Reason.TARGET_LONG
    if _BAD_TARGET.search(head.target):
        return Reason.TARGET_CHARACTER
    if head.target == b"*":  # asterisk-form, section 3.2.4
        return None if head.method == b"OPTIONS" else Reason.TARGET_FORM
    if not head.target.startswith(b"/") and not _ABSOLUTE.match(head.target):
        return Reason.TARGET_FORM  # section 3.2.3: authority-form is for CONNECT, and we tunnel not
    return None


def _fields(fields: Sequence[Field], limits: Limits) -> Reason | None:
    if len(fields) > limits.fields_max:
        return Reason.FIELDS_MANY
    if sum(len(name) + len(value) + 4 for name, value in fields) > limits.fields_bytes_max:
        return Reason.FIELDS_LARGE
    for name, value in fields:
        if name[:1] in (b" ", b"\t"):
            return Reason.LINE_FOLDING
        if name.endswith((b" ", b"\t")):
            return Reason.SPACE_BEFORE_COLON
        if not _TOKEN.match(name):
            return Reason.FIELD_NAME
        if b"_" in name and name.lower().replace(b"_", b"-") in _FRAMING:
            return Reason.FIELD_NAME
        if _BAD_VALUE.search(value):
            folded = re.search(rb"\r?\n[ \t]", value)
            return Reason.LINE_FOLDING if folded else Reason.FIELD_VALUE
    return None


def _framing(head: Head) -> Reason | None:
    lengths = [value for name, value in head.fields if name.lower() == b"content-length"]
    codings = [value for name, value in head.fields if name.lower() == b"transfer-encoding"]
    if lengths and codings:
        return Reason.LENGTH_AND_CODING
    if len(lengths) > 1 or (lengths and b"," in lengths[0]):
        # Section 6.3 lets equal values pass; who sends them is up to something or broken.
        return Reason.LENGTH_SEVERAL
    if lengths and not _DIGITS.match(lengths[0]):
        return Reason.LENGTH_INVALID
    if codings:
        if head.version.endswith(b"1.0"):
            return Reason.CODING_OLD_VERSION
        names = b",".join(codings).lower().split(b",")
        if len(codings) > 1 or names.count(b"chunked") > 1 or b"chunked" in names[:-1]:
            return Reason.CODING_SEVERAL
        if names != [b"chunked"]:
            return Reason.CODING_UNKNOWN
    for name, value in head.fields:
        if name.lower() == b"connection" and not _EVERYBODYS.isdisjoint(
            option.strip() for option in value.lower().split(b",")
        ):
            return Reason.CONNECTION_OPTION
    return None


def _host(head: Head) -> Reason | None:
    hosts = [value for name, value in head.fields if name.lower() == b"host"]
    if len(hosts) > 1:
        return Reason.HOST_SEVERAL
    absolute = _ABSOLUTE.match(head.target)
    scheme = absolute[1].decode().lower() if absolute else "http"
    named = normal_authority(absolute[2].decode("latin-1"), scheme) if absolute else None
    if absolute and named is None:
        return Reason.TARGET_FORM
    if not hosts:
        # HTTP/1.0 has no Host to send, but then somebody has to say which site is meant.
        return None if absolute and head.version.endswith(b"1.0") else Reason.HOST_MISSING
    host = normal_authority(hosts[0].decode("latin-1"), scheme)
    if host is None:
        return Reason.HOST_INVALID
    # Section 3.2.2 lets the target win and section 3.2 wants both the same: whoever sends two
    # hopes that the next one picks the other.
    return Reason.HOST_MISMATCH if absolute and named != host else None


def _path(target: bytes, limits: Limits) -> Reason | None:
    absolute = _ABSOLUTE.match(target)
    path, _, query = (absolute[3] if absolute else target).partition(b"?")
    if path.startswith(b"//") or b"\\" in path:
        return Reason.PATH_SEPARATOR
    if not limits.encoded_slash and b"%2f" in path.lower():
        return Reason.PATH_SEPARATOR
    if _CONFUSING.search(path):
        return Reason.PATH_ESCAPE
    if _looks_static(path.lower(), below_pages=limits.files_below_pages):
        return Reason.PATH_TYPE
    for piece in query.split(b"&") if b"%" in query else ():
        if _QUERY_NAME.search(piece.partition(b"=")[0]):
            return Reason.QUERY_NAME
    return None


def _looks_static(path: bytes, *, below_pages: bool) -> bool:
    """Whether a path in lower case ends like a file that the origin may never look at.

    In one pass: a pattern that searches for this from every start takes quadratic time.
    """
    *above, last = path.split(b"/")
    if _ending(last) not in _STATIC:
        return False
    if b";" in last or b"%3b" in last:
        return True
    pages = (segment.partition(b";")[0] for segment in above)
    return not below_pages and any(_ending(page) in _DYNAMIC for page in pages)


def _ending(segment: bytes) -> bytes:
    return segment.rpartition(b".")[2] if b"." in segment else b""
