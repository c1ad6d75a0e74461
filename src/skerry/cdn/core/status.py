"""What the node says about itself in a response: Cache-Status, Proxy-Status, Age.

Owns RFC 9211, RFC 9209 and RFC 9111 section 5.1 as serialisation. Never decides what happened.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import http_sf

from skerry.cdn.core.directives import DELTA_SECONDS_MAX
from skerry.wire.message import Headers

_TEXT_LETTERS_MAX = 256


class Fwd(StrEnum):
    """Why a request went forward (RFC 9211 section 2.2)."""

    BYPASS = "bypass"
    METHOD = "method"
    URI_MISS = "uri-miss"
    VARY_MISS = "vary-miss"
    MISS = "miss"
    REQUEST = "request"
    STALE = "stale"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """How this cache handled a request (RFC 9211 section 2).

    Attributes:
        fwd: why it went forward; None for a hit. The two exclude each other (section 2.2).
        fwd_status: the next hop's status, where it is not the one that is sent.
        ttl_seconds: remaining freshness, negative for stale.
        stored: the response was stored; said only of what went forward.
        collapsed: the request waited for another one's answer; False when that was in vain.
        detail: what else an operator should know.
    """

    fwd: Fwd | None = None
    fwd_status: int | None = None
    ttl_seconds: float | None = None
    stored: bool = False
    collapsed: bool | None = None
    detail: str = ""

    def member(self, name: str) -> str:
        """This cache's member of the list, `name` being a token or any text."""
        parameters: dict[str, object] = {}
        if self.fwd is None:
            parameters["hit"] = True
        else:
            parameters["fwd"] = http_sf.Token(self.fwd.value)
            if self.fwd_status is not None:
                parameters["fwd-status"] = self.fwd_status
        if self.ttl_seconds is not None and math.isfinite(self.ttl_seconds):
            limit = float(DELTA_SECONDS_MAX)
            parameters["ttl"] = math.floor(min(max(self.ttl_seconds, -limit), limit))
        if self.fwd is not None and self.stored:
            parameters["stored"] = True
        if self.fwd is not None and self.collapsed is not None:
            parameters["collapsed"] = self.collapsed
        if self.detail:
            parameters["detail"] = _token_or_text(self.detail)
        return _member(name, parameters)


class ProxyError(StrEnum):
    """Errors of our own making (RFC 9209 section 2.3)."""

    DNS_TIMEOUT = "dns_timeout"
    DNS_ERROR = "dns_error"
    DESTINATION_NOT_FOUND = "destination_not_found"
    DESTINATION_UNAVAILABLE = "destination_unavailable"
    DESTINATION_IP_PROHIBITED = "destination_ip_prohibited"
    DESTINATION_IP_UNROUTABLE = "destination_ip_unroutable"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_TERMINATED = "connection_terminated"
    CONNECTION_TIMEOUT = "connection_timeout"
    CONNECTION_READ_TIMEOUT = "connection_read_timeout"
    CONNECTION_WRITE_TIMEOUT = "connection_write_timeout"
    CONNECTION_LIMIT_REACHED = "connection_limit_reached"
    TLS_PROTOCOL_ERROR = "tls_protocol_error"
    TLS_CERTIFICATE_ERROR = "tls_certificate_error"
    TLS_ALERT_RECEIVED = "tls_alert_received"
    HTTP_REQUEST_ERROR = "http_request_error"
    HTTP_REQUEST_DENIED = "http_request_denied"
    HTTP_RESPONSE_INCOMPLETE = "http_response_incomplete"
    HTTP_RESPONSE_HEADER_SECTION_SIZE = "http_response_header_section_size"
    HTTP_RESPONSE_HEADER_SIZE = "http_response_header_size"
    HTTP_RESPONSE_BODY_SIZE = "http_response_body_size"
    HTTP_RESPONSE_TRANSFER_CODING = "http_response_transfer_coding"
    HTTP_RESPONSE_CONTENT_CODING = "http_response_content_coding"
    HTTP_RESPONSE_TIMEOUT = "http_response_timeout"
    HTTP_UPGRADE_FAILED = "http_upgrade_failed"
    HTTP_PROTOCOL_ERROR = "http_protocol_error"
    PROXY_INTERNAL_RESPONSE = "proxy_internal_response"
    PROXY_INTERNAL_ERROR = "proxy_internal_error"
    PROXY_CONFIGURATION_ERROR = "proxy_configuration_error"
    PROXY_LOOP_DETECTED = "proxy_loop_detected"

    @property
    def status(self) -> int:
        """The status that RFC 9209 recommends for a response that this error produces."""
        return _PROXY_ERROR_STATUS.get(self, 502)


_PROXY_ERROR_STATUS = {
    ProxyError.DNS_TIMEOUT: 504,
    ProxyError.DESTINATION_NOT_FOUND: 500,
    ProxyError.DESTINATION_UNAVAILABLE: 503,
    ProxyError.CONNECTION_TIMEOUT: 504,
    ProxyError.CONNECTION_READ_TIMEOUT: 504,
    ProxyError.CONNECTION_WRITE_TIMEOUT: 504,
    ProxyError.CONNECTION_LIMIT_REACHED: 503,
    ProxyError.HTTP_REQUEST_ERROR: 400,
    ProxyError.HTTP_REQUEST_DENIED: 403,
    ProxyError.HTTP_RESPONSE_TIMEOUT: 504,
    ProxyError.PROXY_INTERNAL_RESPONSE: 504,
    ProxyError.PROXY_INTERNAL_ERROR: 500,
    ProxyError.PROXY_CONFIGURATION_ERROR: 500,
}


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """What went wrong between this node and the next (RFC 9209 section 2.1).

    Attributes:
        next_hop: name or address of the origin that was asked.
        received_status: what it answered, where it did.
        details: one line for people; never a credential.
    """

    error: ProxyError
    next_hop: str = ""
    received_status: int | None = None
    details: str = ""

    def member(self, name: str) -> str:
        """This node's member of the list."""
        parameters: dict[str, object] = {"error": http_sf.Token(self.error.value)}
        if self.next_hop:
            parameters["next-hop"] = _text(self.next_hop)
        if self.received_status is not None:
            parameters["received-status"] = self.received_status
        if self.details:
            parameters["details"] = _text(self.details)
        return _member(name, parameters)


def with_cache_status(headers: Headers, name: str, status: CacheStatus) -> Headers:
    """Our member appended to upstream's (RFC 9211 section 2)."""
    return _appended(headers, "Cache-Status", status.member(name))


def with_cache_key(headers: Headers, key: str) -> Headers:
    """Our member of Cache-Status, the last one, with the cache key (RFC 9211 section 2.7).

    Only where whoever asks may see it (section 6). A key too long to be told whole is left out.
    """
    said = headers.joined("Cache-Status")
    if not said or len(key) > _TEXT_LETTERS_MAX:
        return headers
    return headers.with_fields(("Cache-Status", f"{said};key={http_sf.ser(_text(key))}"))


def with_proxy_status(headers: Headers, name: str, status: ProxyStatus) -> Headers:
    """Our member appended to upstream's (RFC 9209 section 2)."""
    return _appended(headers, "Proxy-Status", status.member(name))


def with_age(headers: Headers, age_seconds: float) -> Headers:
    """Age replaced, in whole seconds (RFC 9111 sections 4 and 5.1).

    Only for answers without validation: what is forwarded keeps the Age it came with.
    """
    whole = min(max(math.floor(age_seconds), 0), DELTA_SECONDS_MAX)
    return headers.with_fields(("Age", str(whole)))


def _appended(headers: Headers, field: str, member: str) -> Headers:
    """A list field with one more member; a value that is no list would spoil ours and goes."""
    came = headers.joined(field)
    try:
        if came:
            http_sf.parse(came.encode("latin-1"), tltype="list")
    except ValueError:
        came = ""
    return headers.with_fields((field, f"{came}, {member}" if came.strip(" \t") else member))


def _member(name: str, parameters: dict[str, object]) -> str:
    return _serialised(name, tuple(parameters.items()))


@lru_cache(maxsize=1024)  # a node says the same few things all day
def _serialised(name: str, parameters: tuple[tuple[str, object], ...]) -> str:
    return http_sf.ser([(_token_or_text(name), dict(parameters))])  # type: ignore[list-item]


@lru_cache(maxsize=64)
def _token_or_text(text: str) -> object:
    token = http_sf.Token(text)
    try:
        http_sf.ser(token)
    except ValueError:
        return _text(text)
    return token


def _text(text: str) -> str:
    """A String: printable ASCII only (RFC 9651 section 3.3.3), and not without end."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:_TEXT_LETTERS_MAX])
