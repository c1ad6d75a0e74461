"""JSON that two readers cannot read differently.

Owns the refusals: not UTF-8, a key given twice, NaN and its kin, anything behind the document,
nesting without end (RFC 8259 section 4; known failures T20). Knows no schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from skerry.base.errors import BadInput

Json = Mapping[str, object]

NESTING_MAX = 64
"""Objects and lists inside each other. What is deeper costs its readers their stack, ours or those
of the clients it would be served to (T22)."""


def load_object(data: bytes, *, bytes_max: int) -> Json:
    """One JSON object of at most so many bytes. Raises BadInput."""
    if len(data) > bytes_max:
        raise BadInput(f"{len(data)} bytes are more than the {bytes_max} allowed here")
    try:
        document = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON that can be believed ({_why(error)})") from error
    if not isinstance(document, dict):
        raise BadInput("the document is not a JSON object")
    if data.count(b"{") + data.count(b"[") > NESTING_MAX and _is_deep(document):
        raise BadInput(f"not JSON that can be believed (nested over {NESTING_MAX} deep)")
    return document


def _is_deep(document: object) -> bool:
    """Whether it is nested beyond the bound; level by level, without a stack of its own."""
    level: list[object] = [document]
    for _ in range(NESTING_MAX + 1):
        inside: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inside.extend(value.values())
            elif isinstance(value, list):
                inside.extend(value)
        level = [value for value in inside if isinstance(value, dict | list)]
        if not level:
            return False
    return True


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


def _why(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:120]
