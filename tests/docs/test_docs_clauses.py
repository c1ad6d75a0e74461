"""Every clause that the edge claims to keep has a proof, and the page says which."""

from __future__ import annotations

import re

from tests.cdn.transcripts.clauses import CLAUSES, ELSEWHERE
from tests.cdn.transcripts.script import everything
from tools.clauses_page import PAGE, ROOT, page


def test_the_page_of_clauses_is_what_the_transcripts_show() -> None:
    assert PAGE.read_text() == page(everything()), "the page is old; run make docs"


def test_every_clause_has_a_transcript_or_a_test_elsewhere() -> None:
    shown = {clause for transcript in everything() for clause in transcript.clauses}
    assert not set(CLAUSES) - shown - set(ELSEWHERE), "clauses that nothing shows"
    assert not shown - set(CLAUSES), "transcripts of clauses that the table does not have"


def test_tests_named_for_a_clause_are_there() -> None:
    for name in {name for names in ELSEWHERE.values() for name in names}:
        path, _, test = name.partition("::")
        text = (ROOT / path).read_text()
        assert re.search(rf"def {test or 'test_'}", text), name


def test_every_transcript_expects_something_of_its_last_answer() -> None:
    for transcript in everything():
        last = transcript.steps[-1]
        assert getattr(last, "expected", ()), transcript
