"""What is sensitive is shown in groups, to the unit once it is shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.measures import EdgeMeters, Served
from skerry.cdn.ports import DataClass
from skerry.registry.meters import SENSITIVE, Meters
from skerry.registry.replies import Outcome
from skerry.telemetry.metrics import Registry

LINE = 'skerry_edge_requests_total{class="sensitive",outcome="pass"}'


def shown(metrics: Registry, line: str) -> float:
    rows = [row for row in metrics.expose().splitlines() if row.startswith(f"{line} ")]
    return float(rows[0].rpartition(" ")[2]) if rows else 0.0


@given(st.lists(st.integers(0, 10**9), max_size=60), st.integers(2, 20))
def test_no_sample_ever_moves_by_fewer_requests_than_a_group(sizes: list[int], least: int) -> None:
    metrics = Registry(group_min=least)
    meters = EdgeMeters(metrics)
    requests = size = 0.0
    for each in sizes:
        meters.answered(DataClass.SENSITIVE, Served.PASS, 0, 0.1)
        meters.sent(DataClass.SENSITIVE, Served.PASS, each)
        now = shown(metrics, LINE)
        now_size = shown(metrics, LINE.replace("requests", "answer_bytes"))
        assert now == requests or now - requests >= least
        assert (now_size == size) or now > requests
        assert shown(metrics, 'skerry_edge_seconds_count{outcome="pass"}') == now
        requests, size = now, now_size
    assert requests == len(sizes) // least * least
    # What left after its group was shown waits for the next one.
    assert size == sum(sizes[: max(0, int(requests) - 1)])
    # The operator's own screen has them all.
    exact = meters.statistics()
    assert exact.requests.get(("sensitive", "pass"), 0) == len(sizes)
    assert exact.body_bytes.get(("sensitive", "pass"), 0) == sum(sizes)


def test_public_requests_are_shown_at_once() -> None:
    metrics = Registry()
    EdgeMeters(metrics).answered(DataClass.PUBLIC, Served.HIT, 7, 0.1)
    assert shown(metrics, 'skerry_edge_requests_total{class="public",outcome="hit"}') == 1


def test_pulls_of_private_images_are_grouped_too_and_never_have_an_exemplar() -> None:
    metrics = Registry(lambda: 1.0, group_min=2)
    meters = Meters(metrics)
    line = 'skerry_registry_answers_total{class="sensitive",kind="blob",outcome="hit"}'

    def pull() -> None:
        meters.answered(
            SENSITIVE, "blob", Outcome.HIT, size_bytes=5, seconds=0.1, trace_id="ab" * 16
        )

    pull()
    assert shown(metrics, line) == 0
    assert meters.counted("blob", Outcome.HIT) == 1
    pull()
    assert shown(metrics, line) == 2
    assert "ab" * 16 not in metrics.expose()
