"""Settings written out again, as the file would say them.

Owns the text; secrets are masked, so a masked text is for eyes. What is shown can be read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, get_args, get_origin

import msgspec

from skerry.app.settings.errors import without_path, without_userinfo

_TIMES = ((604800, "w"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_SIZES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def to_toml(settings: msgspec.Struct) -> str:
    """The settings as a TOML file, every value written out."""
    return "\n".join(_table(settings, "", "")).strip() + "\n"


def to_plain(settings: msgspec.Struct) -> dict[str, object]:
    """The settings as JSON can carry them, under the names of the file."""
    plain: dict[str, object] = {}
    for field in msgspec.structs.fields(type(settings)):
        value = getattr(settings, field.name)
        if isinstance(value, msgspec.Struct):
            plain[field.encode_name] = to_plain(value)
        elif isinstance(value, tuple):
            plain[field.encode_name] = [
                to_plain(item) if isinstance(item, msgspec.Struct) else _scalar(item, "")
                for item in value
            ]
        else:
            plain[field.encode_name] = _scalar(value, unit_of(field.type))
    return plain


def unit_of(kind: object) -> str:
    """The unit a setting's type carries, "" for none."""
    if get_origin(kind) is not Annotated:
        return ""
    meta: msgspec.Meta = get_args(kind)[1]
    return str((meta.extra or {}).get("unit", ""))


def write_duration(seconds: float) -> str:
    """60.0 -> `1m`; 0.25 -> `250ms`; nothing is rounded."""
    for size, name in _TIMES:
        if seconds and seconds % size == 0:
            return f"{int(seconds // size)}{name}"
    if seconds and (seconds * 1000) % 1 == 0:
        return f"{int(seconds * 1000)}ms"
    return f"{seconds:g}s"


def write_size(count: int) -> str:
    """33554432 -> `32MiB`; nothing is rounded."""
    for size, name in _SIZES:
        if count and count % size == 0:
            return f"{count // size}{name}"
    return f"{count}B"


def _scalar(value: object, unit: str) -> object:
    if unit == "duration" and isinstance(value, int | float):
        return write_duration(value)
    if unit in ("size", "size-or-empty"):
        return write_size(value) if isinstance(value, int) else ""
    if unit == "duration-or-empty":
        return write_duration(value) if isinstance(value, int | float) else ""
    if unit == "secret-url" and isinstance(value, str):
        return without_path(value)
    return without_userinfo(value) if isinstance(value, str) else value


def _table(settings: msgspec.Struct, header: str, at: str) -> Iterator[str]:
    scalars: list[str] = []
    tables: list[str] = []
    for field in msgspec.structs.fields(type(settings)):
        value = getattr(settings, field.name)
        name = f"{at}.{field.encode_name}" if at else field.encode_name
        if isinstance(value, msgspec.Struct):
            tables.extend(_table(value, f"[{name}]", name))
        elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
            for item in value:
                tables.extend(_table(item, f"[[{name}]]", name))
        elif value is not None or unit_of(field.type).endswith("-or-empty"):
            plain = _scalar(value, unit_of(field.type))
            written = list(value) if isinstance(value, tuple) else plain
            # JSON's strings, numbers, booleans and lists of strings are TOML's too.
            scalars.append(f"{field.encode_name} = {json.dumps(written, ensure_ascii=False)}")
    if header and (scalars or not tables):
        yield ""
        yield header
    yield from scalars
    yield from tables
