"""What must hold of every answer in every world.

Owns the promises, told without the code that keeps them: a checker sees the scenario and the facts,
never a cache. Each complaint starts with the promise that was broken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sim.edge.record import Answered, Asked, Broken, Crashed, History, Left, Purged, Stored
from sim.edge.scenario import CANARY, LANGUAGES, USERS, Kind, Scenario, Thing, Visit

Checker = Callable[[History], Iterator[str]]
SLACK_SECONDS = 1.0
"""Dates have whole seconds."""
_PART = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


def made_of(scenario: Scenario, fact: Answered) -> set[tuple[int, str, str]]:
    """The representations (version, user, language) that an answer can be of.

    By its bytes, and by its tag where it has one; an answer without either can be of any.
    """
    thing = scenario.things[fact.visit.thing]
    found = set()
    for version in range(len(thing.changes) + 1):
        for user in USERS:
            for language in LANGUAGES:
                if _is_of(fact, thing, version, user, language):
                    found.add((version, user, language))
    return found


def _is_of(fact: Answered, thing: Thing, version: int, user: str, language: str) -> bool:
    tag = fact.headers.get("ETag")
    if tag is not None and tag != thing.etag(version, user, language):
        return False
    body = thing.body(version, user, language)
    part = _PART.match(fact.headers.get("Content-Range") or "")
    if fact.status == 206 and part is not None:
        start, last, total = map(int, part.groups())
        return total == len(body) and fact.body == body[start : last + 1]
    return fact.status != 200 or fact.visit.method == "HEAD" or fact.body == body


def _told(history: History) -> Iterator[Answered]:
    """Answers that give or confirm a representation."""
    for fact in history.of(Answered):
        if fact.visit.method != "POST" and fact.status in (200, 206, 304):
            yield fact


def every_answer_is_of_one_representation(history: History) -> Iterator[str]:
    """Never a mix of two, never a part of one with the fields of another."""
    for fact in _told(history):
        if not made_of(history.scenario, fact):
            yield f"{fact.visit.client} got {len(fact.body)} bytes that nobody ever made"


def nobody_gets_what_is_anothers(history: History) -> Iterator[str]:
    """What is made for a user is for that user, what is in a language for who asked for it."""
    for fact in _told(history):
        thing, visit = history.scenario.things[fact.visit.thing], fact.visit
        for_all = not thing.secret_for("")
        right = {
            (user, language)
            for _, user, language in made_of(history.scenario, fact)
            if (user == visit.user or (not thing.secret_for(user) and for_all))
            and (language == visit.language or thing.kind is not Kind.SPOKEN)
        }
        if fact.body and not right:
            yield f"{visit.client} ({visit.user or 'nobody'}) got another one's answer"


def nothing_is_staler_than_permitted(history: History) -> Iterator[str]:
    """An answer's version was the current one when it was asked for, or within its permission."""
    for fact in _told(history):
        thing = history.scenario.things[fact.visit.thing]
        found = made_of(history.scenario, fact)
        if not found or (fact.visit.method == "HEAD" and not thing.tag):
            continue
        if fact.status == 304 and not thing.tag:
            continue
        late = fact.asked_at - max(thing.until(version) for version, _, _ in found)
        permitted = _permitted_seconds(history.scenario, thing, fact)
        if late > permitted + SLACK_SECONDS:
            yield (
                f"{fact.visit.client} got at {fact.asked_at:.1f} what was over for {late:.1f} s, "
                f"permitted {permitted:.1f}"
            )


def _permitted_seconds(scenario: Scenario, thing: Thing, fact: Answered) -> float:
    if thing.secret_for(fact.visit.user) and thing.kind is not Kind.CREDENTIAL:
        return 0.0
    fresh = float(thing.fresh_seconds)
    strict = thing.must_revalidate and thing.kind is not Kind.CREDENTIAL
    beyond = 0.0 if strict else float(thing.while_revalidate_seconds)
    for outage in scenario.outages:
        if outage.start <= fact.at and fact.asked_at < outage.stop:
            beyond = max(beyond, _window(scenario, thing, strict=strict, status=outage.status))
    if scenario.cuts:
        beyond = max(beyond, _window(scenario, thing, strict=strict, status=0))
    return fresh + beyond


def _window(scenario: Scenario, thing: Thing, *, strict: bool, status: int) -> float:
    """How long past its freshness a response may stand in for an origin that fails so."""
    if scenario.overrides_if_error_seconds is not None:
        return scenario.overrides_if_error_seconds
    if strict:
        return 0.0
    if thing.if_error_seconds is not None:
        return float(thing.if_error_seconds)
    return float("inf") if status == 0 else 0.0


def nothing_purged_comes_back(history: History) -> Iterator[str]:
    """Whoever asks after a purge returned gets nothing that was asked of the origin before it.

    So it is with what a write by a client made invalid.
    """
    asked = {fact.number: fact.at for fact in history.of(Asked)}
    ends = [(p.at, p.ordered_at, p.things, "purge") for p in history.of(Purged)]
    for fact in history.of(Answered):
        if fact.visit.method == "POST" and fact.status == 200:
            ends.append((fact.at, fact.asked_at, (fact.visit.thing,), "write"))
    for fact in _told(history):
        number = fact.headers.get("X-Fetch")
        if number is None:
            continue
        for returned_at, ordered_at, things, what in ends:
            late = fact.asked_at > returned_at and fact.visit.thing in things
            if late and asked[int(number)] < ordered_at:
                yield (
                    f"{fact.visit.client} got at {fact.asked_at:.3f} what was fetched at "
                    f"{asked[int(number)]:.3f}, before the {what} of {ordered_at:.3f}"
                )


def one_request_for_all_who_want_the_same(history: History) -> Iterator[str]:
    """In a calm world, of what may be shared and is asked for plainly, one is in the air."""
    if not history.scenario.calm:
        return
    for thing in history.scenario.things:
        visits = [visit for visit in history.scenario.visits if visit.thing == thing.number]
        if thing.kind not in (Kind.PAGE, Kind.SPOKEN) or not thing.fresh_seconds:
            continue
        if not all(map(_plain, visits)):
            continue
        most = len(LANGUAGES) if thing.kind is Kind.SPOKEN else 1
        for fact in history.of(Asked):
            if fact.thing == thing.number and fact.open_count > most:
                yield f"{fact.open_count} requests for thing {thing.number} at once"


def _plain(visit: Visit) -> bool:
    shared = visit.user != "bob" and not visit.no_cache
    return shared and visit.method == "GET" and visit.span is None


def nothing_secret_is_kept(history: History) -> Iterator[str]:
    """Private answers, credentials' answers and cookies are not on the disk."""
    for fact in history.of(Stored):
        kept = sum(body.startswith(CANARY) for body in fact.bodies)
        if kept:
            yield f"{kept} secret bodies are stored"
        if CANARY.decode() in fact.fields:
            yield "a cookie is stored"


def everybody_gets_an_answer(history: History) -> Iterator[str]:
    """Every visit ends in one way or another; nobody waits for ever."""
    ended = {f.visit.client for f in history.facts if isinstance(f, Answered | Broken | Left)}
    for visit in history.scenario.visits:
        if visit.client not in ended:
            yield f"{visit.client} never got an answer"


def what_can_be_had_is_had(history: History) -> Iterator[str]:
    """No error and no broken body while the origin works and the node lives.

    But a body out of slices that has begun when the next one shows another version is cut: what
    was sent of the old one cannot be taken back.
    """
    scenario = history.scenario
    if scenario.outages or scenario.cuts or any(history.of(Crashed)):
        return
    for fact in history.of(Answered):
        if fact.status >= 500:
            yield f"{fact.visit.client} got {fact.status} though the origin works"
    for broken in history.of(Broken):
        thing = scenario.things[broken.visit.thing]
        if scenario.sliced and thing.kind is Kind.LARGE and thing.version(broken.at):
            continue
        yield f"{broken.visit.client} got a broken body though the origin works"


def nothing_is_left(history: History) -> Iterator[str]:
    """When the node has closed there is no task, no spool, no open answer, and no crash.

    A node that was killed cannot close what it had open.
    """
    killed = any(history.of(Crashed))
    for what in history.remains:
        if not (killed and what.endswith("open answers")):
            yield what


CHECKERS: tuple[Checker, ...] = (
    every_answer_is_of_one_representation,
    nobody_gets_what_is_anothers,
    nothing_is_staler_than_permitted,
    nothing_purged_comes_back,
    one_request_for_all_who_want_the_same,
    nothing_secret_is_kept,
    everybody_gets_an_answer,
    what_can_be_had_is_had,
    nothing_is_left,
)


def complaints(history: History) -> list[str]:
    """Every broken promise of one world; empty when all were kept."""
    return [
        f"{checker.__name__}: {complaint}" for checker in CHECKERS for complaint in checker(history)
    ]
