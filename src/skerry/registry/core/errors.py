"""The registry's errors: spec code, status and JSON body.

Owns the table of distribution-spec 1.1 "Error Codes" and the few codes clients know beside it.
Never says 404 for something that merely cannot be had now: that is UNAVAILABLE, 503.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

from skerry.base.errors import Party, SkerryError
from skerry.wire.message import Answer, Headers

DETAIL_CHARS_MAX = 512
"""What a client wrote is quoted back no longer than this."""


class Code(StrEnum):
    """distribution-spec 1.1 codes 1 to 14; after them what distribution and containerd know."""

    BLOB_UNKNOWN = "BLOB_UNKNOWN"
    BLOB_UPLOAD_INVALID = "BLOB_UPLOAD_INVALID"
    BLOB_UPLOAD_UNKNOWN = "BLOB_UPLOAD_UNKNOWN"
    DIGEST_INVALID = "DIGEST_INVALID"
    MANIFEST_BLOB_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"
    MANIFEST_INVALID = "MANIFEST_INVALID"
    MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
    NAME_INVALID = "NAME_INVALID"
    NAME_UNKNOWN = "NAME_UNKNOWN"
    SIZE_INVALID = "SIZE_INVALID"
    UNAUTHORIZED = "UNAUTHORIZED"
    DENIED = "DENIED"
    UNSUPPORTED = "UNSUPPORTED"
    TOOMANYREQUESTS = "TOOMANYREQUESTS"
    PAGINATION_NUMBER_INVALID = "PAGINATION_NUMBER_INVALID"
    RANGE_INVALID = "RANGE_INVALID"
    UNAVAILABLE = "UNAVAILABLE"
    UNKNOWN = "UNKNOWN"


STATUS: Mapping[Code, int] = {
    Code.BLOB_UNKNOWN: 404,
    Code.BLOB_UPLOAD_INVALID: 400,
    Code.BLOB_UPLOAD_UNKNOWN: 404,
    Code.DIGEST_INVALID: 400,
    Code.MANIFEST_BLOB_UNKNOWN: 404,
    Code.MANIFEST_INVALID: 400,
    Code.MANIFEST_UNKNOWN: 404,
    Code.NAME_INVALID: 400,
    Code.NAME_UNKNOWN: 404,
    Code.SIZE_INVALID: 400,
    Code.UNAUTHORIZED: 401,
    Code.DENIED: 403,
    Code.UNSUPPORTED: 405,
    Code.TOOMANYREQUESTS: 429,
    Code.PAGINATION_NUMBER_INVALID: 400,
    Code.RANGE_INVALID: 416,
    Code.UNAVAILABLE: 503,
    Code.UNKNOWN: 500,
}


class RegistryError(SkerryError):
    """A refusal in the registry's own words.

    Attributes:
        code: what clients switch on.
        status: HTTP status; the code's usual one unless given.
        detail: what the client wrote, or what is missing; "" for nothing.
        headers: fields that go out with the answer.
    """

    party = Party.CLIENT

    def __init__(
        self,
        code: Code,
        what: str,
        *,
        status: int | None = None,
        detail: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        next_step: str = "",
        party: Party | None = None,
    ) -> None:
        super().__init__(what, next_step=next_step, party=party)
        self.code = code
        self.status = STATUS[code] if status is None else status
        self.detail = detail[:DETAIL_CHARS_MAX]
        self.headers = headers


def error_body(code: Code, message: str, detail: str = "") -> bytes:
    """The JSON body of one error (distribution-spec 1.1 "Error Codes")."""
    error = {"code": code.value, "message": message}
    if detail:
        error["detail"] = detail
    return json.dumps({"errors": [error]}).encode() + b"\n"


def error_answer(error: RegistryError) -> Answer:
    """What goes back for a refusal."""
    body = error_body(error.code, str(error), error.detail)
    return Answer(
        error.status, Headers((("Content-Type", "application/json"), *error.headers)), body
    )
