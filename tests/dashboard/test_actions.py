"""What is done from the pages: only by whoever may, from a form of ours, through the API."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest

from skerry.dashboard.actions import ACTIONS, Call
from skerry.dashboard.jobs import RUNNING_MAX
from skerry.dashboard.service import LIVE_SECONDS, SILENCE_SECONDS, STREAMS_MAX
from skerry.wire.message import Answer, BodyAborted
from tests.dashboard.scene import CSRF, VIEWER, Scene, text_of

PIN = {"csrf": CSRF, "reference": "docker.io/library/nginx:1"}


async def done(scene: Scene) -> str:
    await scene.nursery.idle()
    assert scene.crashes == []
    return text_of(await scene.get("/jobs"))


async def test_a_form_becomes_a_request_of_the_api() -> None:
    scene = Scene()
    answer = await scene.post("/actions/pin", PIN)
    assert (answer.status, answer.headers.get("Location")) == (303, "/jobs")
    assert "pinned" in await done(scene)
    assert scene.calls == [Call("POST", "/api/v1/pins", {}, {"reference": PIN["reference"]})]


@pytest.mark.parametrize("csrf", ["", "d" * 43, CSRF[:-1]])
async def test_a_form_that_was_not_made_for_this_login_does_nothing(csrf: str) -> None:
    scene = Scene()
    answer = await scene.post("/actions/pin", PIN | {"csrf": csrf})
    assert answer.status == 403
    assert (scene.calls, scene.jobs.listed()) == ([], ())
    assert scene.dashboard.statistics().refused_count == 1


async def test_who_may_only_look_cannot_act() -> None:
    scene = Scene()
    assert (await scene.post("/actions/pin", PIN, VIEWER)).status == 403
    assert (await scene.get("/actions/pin", VIEWER)).status == 403
    assert scene.calls == []


async def test_looking_at_an_action_does_nothing() -> None:
    scene = Scene()
    for name in ACTIONS:
        assert (await scene.get(f"/actions/{name}", reference="a/b:1")).status == 200
    assert (scene.calls, scene.jobs.listed()) == ([], ())


async def test_what_is_not_filled_in_is_asked_for_again_and_nothing_is_lost() -> None:
    scene = Scene()
    answer = await scene.post("/actions/purge", {"csrf": CSRF, "soft": "yes"})
    assert answer.status == 400
    assert "nothing is named" in text_of(answer)
    assert "checked" in text_of(answer)
    assert (await scene.post("/actions/pin", {"csrf": CSRF})).status == 400
    assert (await scene.post("/actions/pin", PIN | {"reference": "a\nb"})).status == 400
    assert scene.calls == []


async def test_a_purge_names_one_thing_and_may_be_soft() -> None:
    scene = Scene()
    receipt = {"receipt": {"sequence": 7, "object_count": 3}, "siblings": []}
    scene.answer = Answer(200, body=json.dumps(receipt).encode())
    await scene.post("/actions/purge", {"csrf": CSRF, "host": "www.example.org", "soft": "yes"})
    assert "purged 3 objects, receipt 7" in await done(scene)
    body = {"host": "www.example.org", "soft": True}
    assert scene.calls == [Call("POST", "/api/v1/purge", {}, body)]


async def test_a_long_job_tells_its_last_word_and_its_failure() -> None:
    scene = Scene()

    async def lines() -> AsyncIterator[bytes]:
        yield b'{"step": "progress", "done_bytes": 10}\n{"step": "fai'
        yield b'led", "what": "the upstream is gone", "next_step": "wait"}\n'

    scene.answer = Answer(200, body=lines())
    await scene.post("/actions/warm", PIN)
    text = await done(scene)
    assert "the upstream is gone" in text
    assert 'class="state bad"' in text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"step": "done", "checked_count": 13, "checked_bytes": 2048, "total_bytes": 2048,
          "corrupt_count": 0, "healed_count": 0},
         "checked 13 blobs, 2.0 KiB of 2.0 KiB: all sound"),
        ({"step": "progress", "checked_count": 1, "checked_bytes": 1024, "total_bytes": 2048,
          "corrupt_count": 0, "healed_count": 0},
         "checked 1 blobs, 1.0 KiB of 2.0 KiB: all sound so far"),
        ({"step": "done", "checked_count": 2, "checked_bytes": 9, "total_bytes": 9,
          "corrupt_count": 2, "healed_count": 1}, "2 rotten, 1 of them healed"),
        ({"pinned": False}, "not pinned any more"),
    ],
)  # fmt: skip
async def test_how_a_job_ended_is_said_in_words(line: dict[str, object], said: str) -> None:
    scene = Scene()
    scene.answer = Answer(200, body=json.dumps(line).encode())
    await scene.post("/actions/scrub", {"csrf": CSRF})
    assert said in await done(scene)


async def test_an_error_of_the_api_is_told_with_what_to_do() -> None:
    scene = Scene()
    error = {"error": {"party": "client", "what": "it is not here", "next_step": "see `ls`"}}
    scene.answer = Answer(404, body=json.dumps(error).encode())
    await scene.post("/actions/remove", PIN)
    text = await done(scene)
    assert "it is not here" in text
    assert "see <code>ls</code>" in text


async def test_an_answer_that_breaks_off_is_a_failure_and_no_crash() -> None:
    scene = Scene()

    async def broken() -> AsyncIterator[bytes]:
        yield b'{"step": "progress"}\n'
        raise BodyAborted

    scene.answer = Answer(200, body=broken())
    await scene.post("/actions/scrub", {"csrf": CSRF})
    assert "it broke off" in await done(scene)


async def test_a_job_that_fails_by_a_fault_of_ours_is_not_shown_as_done_well() -> None:
    scene = Scene()

    async def faulty() -> AsyncIterator[bytes]:
        yield b'{"step": "progress"}\n'
        raise ZeroDivisionError

    scene.answer = Answer(200, body=faulty())
    await scene.post("/actions/scrub", {"csrf": CSRF})
    await scene.nursery.idle()
    (job,) = scene.jobs.listed()
    assert (job.done, job.failed, job.said) == (True, True, "the node has a fault of its own")
    assert len(scene.crashes) == 1, "and it is reported"


async def test_jobs_that_run_are_bounded() -> None:
    scene = Scene()

    async def endless() -> AsyncIterator[bytes]:
        yield b'{"step": "progress"}\n'
        await scene.clock.sleep(3600)

    for _ in range(RUNNING_MAX):
        scene.answer = Answer(200, body=endless())
        assert (await scene.post("/actions/scrub", {"csrf": CSRF})).status == 303
    answer = await scene.post("/actions/scrub", {"csrf": CSRF})
    assert answer.status == 400
    assert "wait until something is done" in text_of(answer)
    await scene.nursery.close()


async def test_a_stream_sends_what_changed_and_otherwise_a_sign_of_life() -> None:
    scene = Scene()
    answer = await scene.get("/live/jobs")
    assert answer.headers.get("Content-Type") == "text/event-stream"
    assert isinstance(answer.body, AsyncIterator)
    first = await anext(answer.body)
    assert first.startswith(b"event: part\ndata: ")
    assert b"Nothing yet" in first
    assert first.endswith(b"\nid: 2023-11-14T22:30:00Z\n\n"), "the footer says when it was so"

    async def following() -> bytes:
        told = scene.nursery.start(anext(answer.body), name="reader")  # type: ignore[arg-type]
        for _ in range(int(2 * SILENCE_SECONDS / LIVE_SECONDS)):
            for _ in range(20):
                await asyncio.sleep(0)
            if told.done():
                break
            scene.clock.advance(LIVE_SECONDS)
        return await told

    assert await following() == b":\n\n"
    await scene.post("/actions/pin", PIN)
    assert b"Pin an image" in await following()
    await answer.body.aclose()  # type: ignore[attr-defined]
    assert scene.dashboard.statistics().stream_count == 0


@pytest.mark.parametrize("path", ["/", "/fills", "/jobs", "/upstreams", "/incidents"])
async def test_a_page_that_is_live_has_a_stream_that_sends_what_it_shows(path: str) -> None:
    scene = Scene()
    found = re.search(r'data-live="([^"]*)"', text_of(await scene.get(path)))
    assert found is not None
    answer = await scene.get(found[1])
    assert isinstance(answer.body, AsyncIterator)
    told = await anext(answer.body)
    part = json.loads(told.partition(b"data: ")[2].partition(b"\n")[0])
    assert part.strip() in text_of(await scene.get(path))
    await answer.body.aclose()  # type: ignore[attr-defined]


async def test_streams_are_bounded() -> None:
    scene = Scene()
    bodies = []
    for _ in range(STREAMS_MAX):
        answer = await scene.get("/live/overview")
        assert isinstance(answer.body, AsyncIterator)
        await anext(answer.body)
        bodies.append(answer.body)
    assert (await scene.get("/live/overview")).status == 503
    await bodies[0].aclose()  # type: ignore[attr-defined]
    assert (await scene.get("/live/overview")).status == 200
