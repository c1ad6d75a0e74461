"""The admin API as an OpenAPI 3.1 document.

Owns the document's form. What is in it is the table of `operations`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from skerry import __version__
from skerry.app.admin.operations import JSON, LINES, OPERATIONS, TEXT, Failed, Operation

FAILURES = {
    400: "The request makes no sense; nothing was done.",
    401: "The token is missing or wrong.",
    403: "This visitor may not do that.",
    404: "It is not on this node.",
    409: "The settings or an earlier decision stand against it.",
    421: "The host name is not this node's.",
    429: "Too many at once; see Retry-After.",
    500: "The node's own fault.",
    503: "An upstream cannot be reached now.",
}


def document() -> dict[str, object]:
    """The document, as JSON can carry it."""
    kinds = _kinds(OPERATIONS.values())
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, object]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Skerry admin API", "version": __version__},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _kinds(operations: Iterable[Operation]) -> list[type]:
    found: dict[type, None] = {Failed: None}
    for operation in operations:
        for kind in (operation.reply, operation.body):
            if kind is not None and kind is not dict:
                found[kind] = None
    return list(found)


def _described(operation: Operation) -> dict[str, object]:
    media = operation.text or (LINES if operation.lines else JSON)
    answer = {media: _content(operation)}
    responses: dict[str, object] = {"200": {"description": "Done.", "content": answer}}
    for status, meaning in FAILURES.items():
        content = {JSON: {"schema": _ref(Failed)}}
        responses[str(status)] = {"description": meaning, "content": content}
    described: dict[str, object] = {"summary": operation.summary, "responses": responses}
    if operation.queries:
        described["parameters"] = [
            {
                "name": query.name,
                "in": "query",
                "description": query.meaning,
                "required": query.required,
                "schema": query.schema,
            }
            for query in operation.queries
        ]
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {JSON: {"schema": _ref(operation.body)}},
        }
    return described


def _content(operation: Operation) -> dict[str, object]:
    if operation.text:
        return {"schema": TEXT}
    if operation.reply is None or operation.reply is dict:
        return {"schema": {"type": "object"}}
    # OpenAPI 3.1 has no word for lines of JSON: the schema is that of one line.
    return {"schema": _ref(operation.reply)} if not operation.lines else {"schema": TEXT}


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
