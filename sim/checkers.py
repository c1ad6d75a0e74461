"""What must hold in every world.

Owns the promises, told without the code that keeps them: a checker sees the scenario and the
facts, never a fill or a store. Each complaint starts with the promise that was broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sim.record import (
    Asked,
    Broken,
    Evicted,
    Found,
    Healed,
    History,
    Kept,
    Left,
    Refused,
    Rotted,
    Served,
    Stray,
)
from sim.scenario import Harm, Mood, deceives
from skerry.store.ports import HELD_BACK_BYTES

Checker = Callable[[History], Iterator[str]]


def only_right_bytes_are_called_whole(history: History) -> Iterator[str]:
    """A client that got everything it asked for got exactly the content's bytes.

    Of a content without a name those of one of its representations, never a mixture, never a part
    for the whole. A stored copy may have rotted on the disk: finding that is the scrub's part.
    With a name, a range that ends before the held back bytes is shown before the whole is proven
    (design section 4): it may come from a place that is found out later; so may the length that
    the range was measured against, when nobody but the place has said it.
    """
    for number, fact in enumerate(history.facts):
        if not isinstance(fact, Served):
            continue
        content = history.scenario.contents[fact.content]
        stop = None if fact.size_bytes is None else fact.offset_bytes + fact.size_bytes
        right = (data[fact.offset_bytes : stop] for data in content.representations)
        if fact.data in right or _rotten(history, fact, number):
            continue
        early = stop is not None and stop <= content.longest_bytes - HELD_BACK_BYTES
        unproven = content.named and (early or not content.size_known)
        if content.lied_about and fact.size_bytes and unproven:
            continue
        yield f"{fact.client} was served {len(fact.data)} wrong bytes"


def _rotten(history: History, served: Served, number: int) -> bool:
    rotten = False
    for index, fact in enumerate(history.facts[:number]):
        if fact.content != served.content:
            continue
        if isinstance(fact, Rotted):
            rotten = True
        elif isinstance(fact, Healed | Evicted) and index < served.since:
            rotten = False
    return rotten


def the_end_is_shown_only_when_proven(history: History) -> Iterator[str]:
    """Whoever was aborted had not seen the last 32 KiB of what the place made the end seem."""
    for fact in history.of(Broken):
        content = history.scenario.contents[fact.content]
        longest = content.longest_bytes
        if content.named and fact.seen_to > max(0, longest - HELD_BACK_BYTES):
            yield f"{fact.client} saw {fact.seen_to} of {longest} bytes and was aborted"


def one_fetch_at_a_time(history: History) -> Iterator[str]:
    """However many ask, one body per content is open (pass-through has one per reader)."""
    if history.scenario.always_room:
        for fact in history.of(Asked):
            if fact.now_open > 1:
                yield f"{fact.now_open} bodies of content {fact.content} are open at once"


def no_byte_is_fetched_twice(history: History) -> Iterator[str]:
    """In a calm world a content costs its own bytes exactly once.

    Elsewhere each fill may cost the content once, and each opening of a place that ignores the
    range or lies may waste one body more: what was received is never asked for again.
    """
    for number, content in enumerate(history.scenario.contents):
        size, sent = len(content.data), history.sent_bytes[number]
        wanted = any(visit.content == number for visit in history.scenario.visits)
        if history.scenario.mood is Mood.CALM:
            if sent != size * wanted:
                yield f"content {number} of {size} bytes cost {sent}"
            continue
        wasteful = any(
            act.ignores_range or deceives(act) for acts in content.places for act in acts
        )
        bodies = history.fills[number]
        if wasteful:
            bodies += sum(fact.content == number for fact in history.of(Asked))
        if sent > bodies * content.longest_bytes:
            yield f"content {number} of {size} bytes cost {sent} in {history.fills[number]} fills"


def no_partial_object_is_visible(history: History) -> Iterator[str]:
    """What lies in the store under a name is the named bytes, after a crash as at the end.

    And nothing lies there that is no content at all.
    """
    rotten: set[int] = set()
    for fact in history.facts:
        if isinstance(fact, Rotted):
            rotten.add(fact.content)
        elif isinstance(fact, Healed | Evicted):
            rotten.discard(fact.content)
        elif isinstance(fact, Stray):
            yield f"{fact.occasion}: the store holds {fact.called}, which is no content"
        elif isinstance(fact, Found) and fact.data is not None and fact.content not in rotten:
            content = history.scenario.contents[fact.content]
            if fact.data not in content.representations:
                yield (
                    f"{fact.occasion}: the store holds {len(fact.data)} bytes that are not "
                    f"content {fact.content} of {len(content.data)}"
                )


def nothing_acknowledged_is_lost(history: History) -> Iterator[str]:
    """What the node said is durable is there until it is thrown out on purpose."""
    durable: set[int] = set()
    for fact in history.facts:
        if isinstance(fact, Kept):
            durable.add(fact.content)
        elif isinstance(fact, Evicted | Healed):
            durable.discard(fact.content)
        elif isinstance(fact, Found) and fact.data is None and fact.content in durable:
            yield f"{fact.occasion}: content {fact.content} was acknowledged and is gone"


def everybody_gets_an_answer(history: History) -> Iterator[str]:
    """Every visit ends in one way or another; nobody waits for ever."""
    answered = {
        fact.client for fact in history.facts if isinstance(fact, Served | Broken | Refused | Left)
    }
    for visit in history.scenario.visits:
        if visit.client not in answered:
            yield f"{visit.client} never got an answer"


def what_can_be_had_is_had(history: History) -> Iterator[str]:
    """Nobody is turned away while a sound place is there to ask and nothing befell the node."""
    if history.scenario.suffers(Harm.CRASH, Harm.FULL) or not history.scenario.always_room:
        return
    for fact in history.facts:
        if isinstance(fact, Broken | Refused) and history.scenario.contents[fact.content].steady:
            yield f"{fact.client} was turned away ({fact}) though a sound place has it"


def nothing_is_left(history: History) -> Iterator[str]:
    """When the node has closed there is no task, no spool and no open body, and no crash."""
    remains = history.remains
    if remains is None:
        yield "the world never came to its end"
        return
    if remains.stuck:
        yield remains.stuck
    for what, left in (
        ("tasks", remains.tasks),
        ("spools", remains.spools),
        ("open bodies", remains.open_bodies),
        ("crashes", remains.crashes),
    ):
        if left:
            yield f"{what} left: {left}"


CHECKERS: tuple[Checker, ...] = (
    only_right_bytes_are_called_whole,
    the_end_is_shown_only_when_proven,
    one_fetch_at_a_time,
    no_byte_is_fetched_twice,
    no_partial_object_is_visible,
    nothing_acknowledged_is_lost,
    everybody_gets_an_answer,
    what_can_be_had_is_had,
    nothing_is_left,
)


def complaints(history: History) -> list[str]:
    """Every broken promise of one world; empty when all were kept."""
    return [
        f"{checker.__name__}: {complaint}" for checker in CHECKERS for complaint in checker(history)
    ]
