"""A document becomes settings, field by field, and every wrong field is named.

Owns the walk over the struct types. msgspec alone would stop at the first mistake, without our
units and without a hint which name was meant.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar, get_args, get_origin

import msgspec

from skerry.app.settings.errors import Problem, shown
from skerry.base.errors import BadInput
from skerry.base.units import parse_bytes, parse_seconds

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Written:
    """A value that came as text, from a variable or a flag."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the walk is."""

    at: str
    base: Path
    origin: str
    problems: list[Problem]

    def inside(self, name: str) -> _Place:
        at = f"{self.at}.{name}" if self.at else name
        return _Place(at, self.base, self.origin, self.problems)

    def refuse(self, value: object, reason: str, next_step: str) -> None:
        """Notes a problem of this place."""
        origin = value.origin if isinstance(value, Written) else self.origin
        text = value.text if isinstance(value, Written) else value
        self.problems.append(Problem(self.at, shown(self.at, text), reason, next_step, origin))


def build(
    kind: type[S],
    document: Mapping[str, object],
    *,
    base: Path,
    origin: str,
    problems: list[Problem],
) -> S | None:
    """The settings in a document; None when a problem was appended that leaves none.

    Relative paths are meant below `base`; `origin` is the file's name for messages.
    """
    return _table(kind, document, _Place("", base, origin, problems))


def _table(kind: type[S], table: object, place: _Place) -> S | None:
    if not isinstance(table, Mapping):
        place.refuse(table, "is not a table", f"write it as [{place.at}]")
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, value in table.items():
        if key not in fields:
            close = difflib.get_close_matches(key, fields, n=1)
            step = f"did you mean {close[0]}?" if close else f"known here: {', '.join(fields)}"
            place.inside(key).refuse(value, "there is no such setting", step)
    values: dict[str, object] = {}
    complete = True
    for name, field in fields.items():
        if name in table:
            count = len(place.problems)
            values[field.name] = _value(field.type, table[name], place.inside(name))
            complete = complete and len(place.problems) == count
        elif field.required:
            place.inside(name).refuse("", "is missing", "every entry of this list needs it")
            complete = False
    return kind(**values) if complete else None


def _value(kind: object, value: object, place: _Place) -> object:
    unit = ""
    if get_origin(kind) is Annotated:
        kind, meta = get_args(kind)
        unit = (meta.extra or {}).get("unit", "")
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _table(kind, value, place)
    if isinstance(kind, types.UnionType):  # an optional list: left out, it is None
        kind = next((part for part in get_args(kind) if get_origin(part) is tuple), kind)
    if get_origin(kind) is tuple:
        return _list(get_args(kind)[0], value, place)
    return _scalar(kind, unit, value, place)


def _list(kind: type, value: object, place: _Place) -> object:
    if isinstance(value, Written):
        if issubclass(kind, msgspec.Struct):
            place.refuse(value, "cannot be set this way", "write it in the settings file")
            return ()
        return tuple(part.strip() for part in value.text.split(",") if part.strip())
    tables = issubclass(kind, msgspec.Struct)
    if not isinstance(value, list):
        step = f"write it as [[{place.at}]]" if tables else 'write it as ["...", "..."]'
        place.refuse(value, "is not a list", step)
        return ()
    return tuple(
        _value(kind, item, _Place(f"{place.at}[{index}]", place.base, place.origin, place.problems))
        for index, item in enumerate(value)
    )


def _scalar(kind: object, unit: str, value: object, place: _Place) -> object:
    raw = value.text if isinstance(value, Written) else value
    try:
        if unit in ("size", "size-or-empty", "duration", "duration-or-empty"):
            return _measured(unit, raw)
        if unit in ("share", "count") and isinstance(value, Written):
            return _number(unit, value.text)
        found: object = msgspec.convert(raw, kind, strict=not isinstance(value, Written))
    except BadInput as error:
        place.refuse(value, error.what, error.next_step)
        return None
    except (msgspec.ValidationError, ValueError):
        place.refuse(value, f"is not {_meant(kind)}", f"write {_example(kind)}")
        return None
    if unit == "path" and isinstance(found, str) and found:
        base = Path.cwd() if isinstance(value, Written) else place.base
        return str(base / Path(found).expanduser())
    return found


def _measured(unit: str, raw: object) -> float | int | None:
    kind, _, empty = unit.partition("-")
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        step = "write one such as 15m" if kind == "duration" else "write one such as 10GiB"
        raise BadInput(f"is not a {kind}", next_step=step)
    text = str(raw)
    if empty and not text.strip():
        return None
    return parse_seconds(text) if kind == "duration" else parse_bytes(text)


def _number(unit: str, text: str) -> float | int:
    return float(text) if unit == "share" else int(text)


def _kinds(kind: object) -> tuple[object, ...]:
    return get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _meant(kind: object) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return " or ".join(names[k] for k in names if k in _kinds(kind))


def _example(kind: object) -> str:
    shown_as = {bool: "true or false", int: "a number such as 16", float: "a number such as 0.9"}
    return next((shown_as[k] for k in shown_as if k in _kinds(kind)), 'it in quotes: "..."')
