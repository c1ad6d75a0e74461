"""Bugs planted in the cores: some transcript of the clause must complain of each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skerry.cdn.core import freshness, reuse, storing, targeted, update
from skerry.cdn.core.directives import NO_DIRECTIVES
from skerry.cdn.core.freshness import Lifetime, Source
from skerry.cdn.core.targeted import Control
from skerry.wire.message import Headers
from tests.cdn.transcripts.memory import MemoryStage
from tests.cdn.transcripts.play import play
from tests.cdn.transcripts.script import everything

Patch = tuple[object, str, object]


def blind_to(name: str) -> object:
    """A reader of directives that misses one."""
    real = targeted.control_of

    def control_of(headers: Headers) -> Control:
        control = real(headers)
        left = tuple(member for member in control.directives.members if member[0] != name)
        return replace(control, directives=replace(control.directives, members=left))

    return control_of


PLANTED: dict[str, tuple[str, tuple[Patch, ...]]] = {
    "Vary is not looked at": ("vary", ((reuse, "matches", lambda *a: True),)),
    "no age is known": ("freshness", ((freshness, "current_age", lambda *a: 0.0),)),
    "Expires is not read": (
        "expires",
        ((freshness, "lifetime", lambda *a: Lifetime(60.0, Source.MAX_AGE)),),
    ),
    "no-store is overlooked": ("storing", ((storing, "control_of", blind_to("no-store")),)),
    "private is overlooked": ("storing", ((storing, "control_of", blind_to("private")),)),
    "must-revalidate is overlooked": (
        "stale",
        ((freshness, "control_of", blind_to("must-revalidate")),),
    ),
    "wishes of requests are overlooked": (
        "requests",
        ((reuse, "request_directives", lambda headers: NO_DIRECTIVES),),
    ),
    "a 304 updates nothing": ("update", ((update, "stored_fields", lambda *a, **k: Headers()),)),
    "cookies are kept": ("storing", ((storing, "_COOKIES", ()),)),
    "targeted fields are not known": ("targeted", ((targeted, "TARGETS", ()),)),
}


@pytest.mark.parametrize("bug", PLANTED)
async def test_a_planted_bug_is_complained_of(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    category, patches = PLANTED[bug]
    for place, name, wrong in patches:
        monkeypatch.setattr(place, name, wrong)
    found = []
    for transcript in everything():
        if transcript.category == category:
            stage = MemoryStage(transcript.route)
            found += await play(transcript, stage)
            await stage.world.close()
    assert found, f"no transcript of {category} notices that {bug}"
