"""Rigs for the peer tests, and the programs' logs beside a failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skerry.app.drill.processes import LOG_TAIL_BYTES
from tests.rig.processes import Rig


@pytest.fixture
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A workshop for one test."""
    with Rig(tmp_path_factory.mktemp("rig")) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A workshop for one module."""
    with Rig(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport]:
    report: pytest.TestReport = yield
    if report.failed:
        for rig in (item.funcargs.get("rig"), item.funcargs.get("shared")):
            for log in rig.logs if isinstance(rig, Rig) else ():
                if log.exists():
                    tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
                    report.sections.append((f"the end of {log}", tail))
    return report
