"""What can be done from the pages.

Owns the table of actions: what each asks for, what it does and which request of the admin API that
is. A page has no power of its own: it sends what the commands send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from skerry.base.errors import BadInput

FIELD_CHARS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a form asks for; `kind` is `text` or `flag`."""

    name: str
    label: str
    kind: str = "text"
    required: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the admin API; `body` becomes JSON."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a visitor may have done.

    Attributes:
        effect: what happens, for whoever has to decide.
        call: the request for filled-in fields. Raises BadInput.
        about: the field that says what it is done to, "" for none.
        back: where whoever changes their mind goes.
    """

    name: str
    title: str
    effect: str
    fields: tuple[Field, ...]
    call: Callable[[Mapping[str, str]], Call]
    about: str = ""
    back: str = "/"


_REFERENCE = Field("reference", "Image, as in registry.example/team/app:1")


def _warm(values: Mapping[str, str]) -> Call:
    body = {"images": [values["reference"]], "all_platforms": bool(values.get("all_platforms"))}
    return Call("POST", "/api/v1/warm", {}, body)


def _pin(values: Mapping[str, str]) -> Call:
    return Call("POST", "/api/v1/pins", {}, {"reference": values["reference"]})


def _unpin(values: Mapping[str, str]) -> Call:
    return Call("DELETE", "/api/v1/pins", {"reference": values["reference"]}, None)


def _remove(values: Mapping[str, str]) -> Call:
    return Call("DELETE", "/api/v1/images", {"reference": values["reference"]}, None)


def _purge(values: Mapping[str, str]) -> Call:
    named = {name: values[name] for name in ("url", "prefix", "host", "key") if values.get(name)}
    if not named:
        raise BadInput("nothing is named", next_step="fill in one of the fields")
    return Call("POST", "/api/v1/purge", {}, named | {"soft": bool(values.get("soft"))})


def _scrub(values: Mapping[str, str]) -> Call:
    return Call("POST", "/api/v1/scrub", {}, {})


ACTIONS = {
    action.name: action
    for action in (
        Action(
            "warm",
            "Fetch an image",
            "Fetches what is missing of it for this machine's platform. That costs transfer.",
            (_REFERENCE, Field("all_platforms", "For every platform", "flag", required=False)),
            _warm,
            about="reference",
            back="/images",
        ),
        Action(
            "pin",
            "Pin an image",
            "Keeps it from eviction, whatever room is needed.",
            (_REFERENCE,),
            _pin,
            about="reference",
            back="/images",
        ),
        Action(
            "unpin",
            "Unpin an image",
            "Lets it be evicted when room is needed.",
            (_REFERENCE,),
            _unpin,
            about="reference",
            back="/images",
        ),
        Action(
            "remove",
            "Remove an image",
            "Forgets it and frees what only it used. While its upstream is away it cannot be had"
            " again.",
            (_REFERENCE,),
            _remove,
            about="reference",
            back="/images",
        ),
        Action(
            "purge",
            "Purge",
            "Takes stored responses out of service at once, here and on the siblings. Name one"
            " thing. What is purged must be fetched again, and cannot be while its origin is away.",
            (
                Field("url", "URL", required=False),
                Field("prefix", "or URL prefix", required=False),
                Field("host", "or host", required=False),
                Field("key", "or surrogate key", required=False),
                Field("soft", "Only make it stale", "flag", required=False),
            ),
            _purge,
            about="url",
            back="/objects",
        ),
        Action(
            "scrub",
            "Check every byte",
            "Reads everything that is stored and compares it with its digest. What is wrong is put"
            " away and fetched again. It takes a while and keeps the disk busy.",
            (),
            _scrub,
        ),
    )
}


def filled(action: Action, form: Mapping[str, str]) -> dict[str, str]:
    """The fields of a form that an action knows, without blanks around. Raises BadInput."""
    values = {field.name: form.get(field.name, "").strip() for field in action.fields}
    for field in action.fields:
        value = values[field.name]
        if field.required and not value:
            raise BadInput(f"{field.label}: nothing is filled in", next_step="fill it in")
        if len(value) > FIELD_CHARS_MAX or not value.isprintable():
            raise BadInput(f"{field.label}: this cannot be one", next_step="write it again")
    return {name: value for name, value in values.items() if value}
