"""What several sources say together, and when none is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest
from client_rig import (
    ANONYMOUS,
    FETCH,
    MIRROR_URL,
    NEIGHBOUR_URL,
    REGION,
    SIBLING,
    URL,
    Rig,
)

from skerry.upstream.ports import (
    Absent,
    Cause,
    Denied,
    Dial,
    Fetch,
    Trouble,
    Unavailable,
)
from skerry.upstream.testing_transport import Scripted
from tests.rig.telling import sample_of

GONE = Scripted(404)
FINE = Scripted(body=b"fine")
DOWN = Scripted(trouble=Trouble.REFUSED)
BOTH = (REGION, ANONYMOUS)


async def failing(rig: Rig, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Unavailable):
            await rig.ask()


async def test_the_region_is_asked_first_and_its_404_goes_on_to_the_origin() -> None:
    rig = Rig(BOTH)
    rig.transport.on(MIRROR_URL, GONE, FINE)
    rig.transport.on(URL, FINE)
    assert (await rig.ask()).source == "origin"
    assert (await rig.ask()).source == "region"
    assert rig.transport.open_exchanges == 0


async def test_absent_needs_every_source_to_say_so() -> None:
    rig = Rig(BOTH)
    rig.transport.on(MIRROR_URL, GONE)
    rig.transport.on(URL, Scripted(410))
    with pytest.raises(Absent):
        await rig.ask()


@pytest.mark.parametrize(
    "trouble",
    [DOWN, Scripted(503), Scripted(429), Scripted(trouble=Trouble.DNS), Scripted(400)],
)
async def test_t28_t31_a_source_in_trouble_makes_it_unavailable_never_absent(
    trouble: Scripted,
) -> None:
    for first, second in ((trouble, GONE), (GONE, trouble)):
        rig = Rig(BOTH)
        rig.transport.on(MIRROR_URL, first)
        rig.transport.on(URL, second)
        with pytest.raises(Unavailable):
            await rig.ask()


async def test_a_source_left_alone_makes_it_unavailable_and_says_why() -> None:
    rig = Rig(BOTH)
    rig.transport.on(URL, GONE)
    await failing(rig, 3)  # the mirror has no script: refused
    asked = len(rig.transport.seen)
    with pytest.raises(Unavailable) as caught:
        await rig.ask()
    (cause,) = caught.value.causes
    assert (cause.source, cause.trouble) == ("region", Trouble.BREAKER_OPEN)
    assert "refused" in str(caught.value) or "connected" in str(caught.value)
    assert [seen.host for seen in rig.transport.seen[asked:]] == ["registry.example"]


async def test_a_denial_is_told_when_the_rest_has_nothing() -> None:
    rig = Rig(BOTH)
    rig.transport.on(MIRROR_URL, GONE)
    rig.transport.on(URL, Scripted(403))
    with pytest.raises(Denied):
        await rig.ask()


async def test_304_is_an_answer() -> None:
    rig = Rig()
    rig.transport.on(URL, Scripted(304))
    assert (await rig.ask()).status == 304


async def test_no_source_at_all_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await Rig(()).ask()


async def test_every_request_carries_the_loop_mark_and_refuses_codings() -> None:
    rig = Rig(BOTH, siblings=(SIBLING,))
    rig.transport.on(MIRROR_URL, GONE)
    rig.transport.on(URL, FINE)
    await rig.ask()
    for seen in rig.transport.seen:
        assert seen.headers.get("cdn-loop") == "skerry;id=rock-1"
        assert seen.headers.get("accept-encoding") == "identity"
        assert seen.headers.get("cache-control") is None


async def test_the_loop_marks_of_others_are_kept() -> None:
    rig = Rig()
    rig.transport.on(URL, FINE)
    marked = FETCH.headers.with_fields(("CDN-Loop", "other;id=1"))
    await rig.ask(replace(FETCH, headers=marked))
    assert rig.transport.seen[0].headers.all("cdn-loop") == ("other;id=1, skerry;id=rock-1",)


async def test_a_sibling_is_asked_only_for_what_it_has_and_its_504_is_no_outage() -> None:
    rig = Rig(BOTH, siblings=(SIBLING,))
    rig.transport.on(NEIGHBOUR_URL, Scripted(504))
    for _ in range(5):
        with pytest.raises(Absent):
            await rig.place(0).open(0)
    assert rig.transport.seen[0].headers.get("cache-control") == "only-if-cached"
    assert rig.client.statistics().siblings[0].breaker == "closed"
    assert [place.source for place in rig.client.places(FETCH)] == ["neighbour", "region", "origin"]
    assert len(rig.client.places(FETCH, siblings=False)) == 2


async def test_siblings_may_be_asked_first_and_their_trouble_is_passed_over() -> None:
    rig = Rig((ANONYMOUS,), siblings=(SIBLING,))
    rig.transport.on(URL, GONE)
    rig.transport.on(NEIGHBOUR_URL, FINE, DOWN)
    first = await rig.client.ask(FETCH, body_bytes_max=9, siblings=True)
    assert first.source == "neighbour"
    with pytest.raises(Absent):
        await rig.client.ask(FETCH, body_bytes_max=9, siblings=True)


async def test_a_source_may_rewrite_and_prefix_paths() -> None:
    moved = replace(ANONYMOUS, rewrite=lambda fetch: replace(fetch, path="/v2/x" + fetch.path[3:]))
    rig = Rig((moved,))
    rig.transport.on("https://registry.example/v2/x/a/manifests/1", FINE)
    assert (await rig.ask()).body == b"fine"
    below = Rig((replace(ANONYMOUS, prefix="/cache/"),))
    below.transport.on("https://registry.example/cache/v2/a/manifests/1", FINE)
    await below.ask(replace(FETCH, query="n=1"))
    assert below.transport.seen[0].url.endswith("/cache/v2/a/manifests/1?n=1")


# ---- breaker and limits at work


async def test_t30_an_open_breaker_sends_nothing_then_one_probe() -> None:
    rig = Rig()
    rig.transport.on(URL, DOWN)
    await failing(rig, 5)
    assert len(rig.transport.seen) == 3
    assert not rig.client.reachable()
    assert rig.client.retry_after_seconds() == 2
    rig.clock.advance(2)
    assert not rig.client.reachable(), "an outage does not end because nobody asks"
    rig.transport.on(URL, Scripted(hang=True))
    probe = asyncio.ensure_future(rig.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await failing(rig, 3)
    assert len(rig.transport.seen) == 4
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    rig.transport.on(URL, FINE)
    assert (await rig.ask()).body == b"fine"
    kinds = [event.kind for event in rig.events.recent()]
    assert kinds == ["breaker.opened", "breaker.closed"]
    assert rig.client.reachable()


async def test_t30_a_stalled_probe_is_released() -> None:
    rig = Rig()
    rig.transport.on(URL, DOWN)
    await failing(rig, 3)
    rig.clock.advance(2)
    rig.transport.on(URL, Scripted(hang=True))
    probe = asyncio.ensure_future(rig.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rig.clock.advance(15)
    rig.transport.on(URL, FINE)
    assert (await rig.ask()).body == b"fine"
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)


async def test_404_keeps_a_source_healthy_and_403_neither_hides_nor_counts() -> None:
    rig = Rig()
    rig.transport.on(URL, DOWN, DOWN, Scripted(403), Scripted(403), Scripted(403), DOWN)
    await failing(rig, 2)
    for _ in range(3):
        with pytest.raises(Denied):
            await rig.ask()
    assert rig.client.reachable()
    await failing(rig, 1)
    assert not rig.client.reachable()


async def test_t32_retry_after_is_obeyed_to_the_second() -> None:
    rig = Rig()
    limited = Scripted(429, (("Retry-After", "60"), ("ratelimit-remaining", "0;w=21600")))
    rig.transport.on(URL, limited, FINE)
    await failing(rig, 3)
    assert len(rig.transport.seen) == 1
    assert rig.client.retry_after_seconds() == 60
    assert rig.client.statistics().sources[0].remaining == 0
    left = 'skerry_upstream_requests_left{upstream="hub",source="origin",limit="source"}'
    assert sample_of(rig.registry, left) == 0
    assert [event.kind for event in rig.events.recent()] == ["source.rate_limited"]
    rig.clock.advance(59.5)
    await failing(rig, 1)
    rig.clock.advance(0.5)
    assert (await rig.ask()).body == b"fine"


async def test_a_503_with_retry_after_is_obeyed_too() -> None:
    rig = Rig()
    rig.transport.on(URL, Scripted(503, (("Retry-After", "7"),)), FINE)
    await failing(rig, 2)
    assert len(rig.transport.seen) == 1
    rig.clock.advance(7)
    await rig.ask()


async def test_a_request_budget_that_is_used_up_is_said_and_refills() -> None:
    rig = Rig((replace(ANONYMOUS, requests_per_minute=2),))
    rig.transport.on(URL, FINE)
    await rig.ask()
    await rig.ask()
    with pytest.raises(Unavailable) as caught:
        await rig.ask()
    assert caught.value.causes[0].trouble is Trouble.BUDGET
    assert rig.client.statistics().sources[0].requests_left == 0
    rig.clock.advance(31)
    await rig.ask()


async def test_connections_are_bounded_per_source_and_given_back() -> None:
    dial = Dial(connections_max=1, connect_seconds=0.005, first_byte_seconds=0.005)
    rig = Rig((replace(ANONYMOUS, dial=dial),))
    rig.transport.on(URL, FINE)
    opened = await rig.place().open(0)
    with pytest.raises(Unavailable) as caught:
        await rig.ask()
    assert caught.value.causes[0].trouble is Trouble.BUDGET
    assert rig.client.reachable(), "a full house is not an outage"
    await opened.exchange.close()
    await rig.ask()
    assert rig.client.statistics().sources[0].in_flight == 0


async def test_bytes_per_second_pace_the_reading() -> None:
    rig = Rig((replace(ANONYMOUS, bytes_per_second=100),))
    rig.transport.on(URL, Scripted(body=b"x" * 300, chunk_bytes=100))
    reading = asyncio.ensure_future(rig.read())
    for seconds in (0, 1, 1):
        rig.clock.advance(seconds)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not reading.done()
    rig.clock.advance(1)
    assert len(await asyncio.wait_for(reading, 5)) == 300


async def test_t25_a_body_of_one_byte_a_second_is_given_up_as_a_stall() -> None:
    rig = Rig()
    second = partial(rig.clock.advance, 1)
    rig.transport.on(URL, Scripted(body=b"x" * 999, chunk_bytes=1, before_chunk=second))
    with pytest.raises(Unavailable) as caught:
        await rig.ask()
    assert caught.value.causes[0].trouble is Trouble.STALL
    assert rig.clock.monotonic() == 15
    assert rig.transport.open_exchanges == 0


async def test_a_refusal_gives_its_connection_back() -> None:
    limited = replace(ANONYMOUS, requests_per_minute=1, dial=Dial(connections_max=1))
    rig = Rig((limited,))
    rig.transport.on(URL, FINE)
    await rig.ask()
    for _ in range(3):
        with pytest.raises(Unavailable, match="requests/min"):
            await rig.ask()
    rig.clock.advance(60)
    assert (await asyncio.wait_for(rig.ask(), 5)).body == b"fine"


async def test_one_dead_upstream_holds_no_place_of_another() -> None:
    dead, living = Rig((ANONYMOUS,)), Rig((ANONYMOUS,))
    dead.transport.on(URL, Scripted(hang=True))
    living.transport.on(URL, FINE)
    stuck = [asyncio.ensure_future(dead.ask()) for _ in range(50)]
    assert (await asyncio.wait_for(living.ask(), 5)).body == b"fine"
    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
    assert dead.client.statistics().sources[0].in_flight == 0


async def test_metrics_count_outcomes_and_bytes_by_configured_names() -> None:
    rig = Rig()
    rig.transport.on(URL, FINE, GONE, DOWN)
    await rig.ask()
    with pytest.raises(Absent):
        await rig.ask()
    await failing(rig, 1)
    assert rig.metrics.requests.series() == {
        ("hub", "origin", "ok"): 1,
        ("hub", "origin", "absent"): 1,
        ("hub", "origin", "refused"): 1,
    }
    assert rig.metrics.bytes.value("hub", "origin") == 4
    assert sample_of(rig.registry, rig.line("skerry_upstream_first_byte_seconds_count")) == 1
    assert 'skerry_upstream_source_left_alone{upstream="hub",source="origin"} 0' in (
        rig.registry.expose()
    )


async def test_breaker_and_budget_stand_in_the_metrics_as_they_are_now() -> None:
    rig = Rig((replace(ANONYMOUS, requests_per_minute=10),))
    rig.transport.on(URL, FINE, DOWN, DOWN, DOWN, FINE)

    def now() -> tuple[float | None, ...]:
        states = [
            rig.line("skerry_upstream_breaker_state", f',state="{each}"')
            for each in ("closed", "open")
        ]
        lines = (
            *states,
            rig.line("skerry_upstream_breaker_openings_total"),
            rig.line("skerry_upstream_source_left_alone"),
        )
        return tuple(sample_of(rig.registry, line) for line in lines)

    await rig.ask()
    assert now() == (1, 0, None, 0)
    assert sample_of(rig.registry, rig.line("skerry_upstream_requests_left", ',limit="own"')) == 9
    await failing(rig, 3)
    assert now() == (0, 1, 1, 1)
    assert sample_of(rig.registry, rig.line("skerry_upstream_requests_left", ',limit="own"')) == 6
    rig.clock.advance(600)
    await rig.ask()
    assert now() == (1, 0, 1, 0)


async def test_a_request_is_in_flight_until_its_body_is_at_its_end() -> None:
    rig = Rig()
    rig.transport.on(URL, FINE)
    line = rig.line("skerry_upstream_requests_in_flight")
    assert sample_of(rig.registry, line) == 0
    opened = await rig.place().open(0)
    assert sample_of(rig.registry, line) == 1
    assert b"".join([chunk async for chunk in opened.exchange.chunks()]) == b"fine"
    await opened.exchange.close()
    assert sample_of(rig.registry, line) == 0


async def test_the_query_is_sent_as_given() -> None:
    rig = Rig()
    rig.transport.on("https://registry.example/v2/a%2Fb", FINE)
    await rig.ask(Fetch("GET", "/v2/a%2Fb", query="n=2&last=a%20b"))
    assert rig.transport.seen[0].url == "https://registry.example/v2/a%2Fb?n=2&last=a%20b"


async def test_nothing_is_left_after_close() -> None:
    rig = Rig()
    rig.transport.on(URL, FINE)
    await rig.ask()
    await rig.client.close()
    assert rig.transport.open_exchanges == 0


def test_what_is_not_asked_by_choice_is_not_said_to_be_out_of_reach() -> None:
    spent = Cause("origin", Trouble.BUDGET, "the budget is spent")
    silent = Cause("mirror", Trouble.CONNECT_TIMEOUT, "no answer in 1 s")
    assert "is not asked now" in str(Unavailable("docker.io", (spent,), retry_after_seconds=60))
    for causes in ((spent, silent), (silent,), ()):
        told = str(Unavailable("docker.io", causes, retry_after_seconds=60))
        assert "cannot be reached now" in told
