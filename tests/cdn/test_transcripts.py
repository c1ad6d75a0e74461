"""Every transcript against the whole edge in memory, and every clause with a transcript."""

from __future__ import annotations

import pytest

from tests.cdn.transcripts.memory import MemoryStage
from tests.cdn.transcripts.play import play
from tests.cdn.transcripts.script import Transcript, everything


@pytest.mark.parametrize("transcript", everything(), ids=str)
async def test_the_edge_keeps_to_the_transcript(transcript: Transcript) -> None:
    stage = MemoryStage(transcript.route)
    complaints = await play(transcript, stage)
    assert not complaints, "\n".join(complaints)
    await stage.world.close()


def test_no_two_transcripts_have_one_title() -> None:
    titles = [str(transcript) for transcript in everything()]
    assert len(set(titles)) == len(titles)
