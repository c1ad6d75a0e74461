"""Places: one source that may have one content, opened from an offset."""

from __future__ import annotations

import pytest
from client_rig import FETCH, ORIGIN, REGION, URL, Rig

from skerry.upstream.ports import Fetch, TransportError, Trouble, Unavailable
from skerry.upstream.testing_transport import Scripted


async def test_a_place_resumes_by_range() -> None:
    rig = Rig()
    head = (("Content-Range", "bytes 3-5/6"),)
    rig.transport.on(URL, Scripted(206, head, b"def"))
    opened = await rig.place().open(3)
    assert (opened.offset_bytes, opened.size_bytes) == (3, 6)
    assert rig.transport.seen[0].headers.get("range") == "bytes=3-"
    await opened.exchange.close()
    await opened.exchange.close()
    assert rig.transport.open_exchanges == 0


async def test_a_place_that_ignores_the_range_starts_at_zero() -> None:
    rig = Rig()
    rig.transport.on(URL, Scripted(body=b"abcdef"))
    opened = await rig.place().open(3)
    assert (opened.offset_bytes, opened.size_bytes) == (0, 6)


@pytest.mark.parametrize(
    "wrong",
    [
        Scripted(206, (("Content-Range", "bytes 2-5/6"),), b"cdef"),
        Scripted(206, (), b"def"),
        Scripted(200, (("Content-Encoding", "gzip"),), b"def"),
        Scripted(200, (("Content-Type", "text/html"),), b"<html>"),
    ],
)
async def test_t11_t13_a_wrong_range_a_coding_and_a_web_page_are_trouble(wrong: Scripted) -> None:
    rig = Rig()
    rig.transport.on(URL, wrong)
    for _ in range(3):
        with pytest.raises(TransportError) as caught:
            await rig.place().open(3)
        assert caught.value.trouble is Trouble.PROTOCOL
    assert rig.transport.open_exchanges == 0
    assert not rig.client.reachable()


async def test_bodies_that_are_cut_open_the_breaker_though_their_heads_were_fine() -> None:
    rig = Rig()
    rig.transport.on(URL, Scripted(body=b"abcdef", cut_after=3))
    for _ in range(3):
        with pytest.raises(TransportError):
            await rig.read()
    assert not rig.client.reachable()
    assert rig.client.statistics().sources[0].troubles == (("cut", 3),)


async def test_wrong_content_marks_the_source() -> None:
    rig = Rig()
    rig.place().wrong()
    assert [e.kind for e in rig.events.recent()] == ["source.wrong_content"]
    assert rig.client.statistics().sources[0].troubles == (("wrong_content", 1),)


async def test_a_small_answer_that_is_not_small_is_refused() -> None:
    rig = Rig()
    rig.transport.on(URL, Scripted(body=b"x" * 11))
    with pytest.raises(Unavailable):
        await rig.client.ask(FETCH, body_bytes_max=10)
    assert rig.transport.open_exchanges == 0


async def test_who_gave_wrong_bytes_for_a_content_is_asked_for_it_last() -> None:
    rig = Rig(sources=(REGION, ORIGIN))
    assert [place.source for place in rig.client.places(FETCH)] == ["region", "origin"]
    rig.client.places(FETCH)[0].wrong()
    assert [place.source for place in rig.client.places(FETCH)] == ["origin", "region"]
    other = Fetch("GET", "/v2/a/blobs/other")
    assert [place.source for place in rig.client.places(other)] == ["region", "origin"]
