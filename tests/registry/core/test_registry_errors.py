"""The registry's refusals."""

from __future__ import annotations

import json

from skerry.registry.core.errors import STATUS, Code, RegistryError, error_answer


def test_every_code_has_a_status_and_only_unknown_things_are_404() -> None:
    assert set(STATUS) == set(Code)
    assert {code for code, status in STATUS.items() if status == 404} == {
        Code.BLOB_UNKNOWN,
        Code.BLOB_UPLOAD_UNKNOWN,
        Code.MANIFEST_BLOB_UNKNOWN,
        Code.MANIFEST_UNKNOWN,
        Code.NAME_UNKNOWN,
    }
    assert STATUS[Code.UNAVAILABLE] == 503


def test_a_refusal_says_what_and_the_next_step_as_the_spec_writes_it() -> None:
    error = RegistryError(
        Code.NAME_UNKNOWN, "no such name", detail="x" * 9999, next_step="use another", headers=()
    )
    answer = error_answer(error)
    assert (answer.status, answer.headers.get("Content-Type")) == (404, "application/json")
    assert isinstance(answer.body, bytes)
    (said,) = json.loads(answer.body)["errors"]
    assert (said["code"], said["message"]) == ("NAME_UNKNOWN", "no such name; use another")
    assert len(said["detail"]) == 512
