"""Forms as browsers send them.

Owns the bounds. What a field means is for whoever asked.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from skerry.wire.message import Request

FORM_BYTES_MAX = 64 << 10
FORM_FIELDS_MAX = 32


async def read_form(request: Request) -> dict[str, str] | None:
    """The fields of a form as a browser sends it; None for anything else, or more than fits."""
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    data = bytearray()
    async for chunk in request.body:
        data += chunk
        if len(data) > FORM_BYTES_MAX:
            return None
    try:
        pairs = parse_qsl(
            data.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX
        )
    except ValueError:
        return None
    return dict(pairs)
