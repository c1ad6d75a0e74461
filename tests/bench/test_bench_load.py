"""What wrk says, as numbers."""

from __future__ import annotations

import pytest

from bench.load import read_wrk

SAID = """Running 2s test @ http://127.0.0.1:40001/small
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   338.37us  143.70us   3.85ms   91.32%
    Req/Sec    94.63k     3.41k   98.90k    85.00%
  Latency Distribution
     50%  313.00us
     75%  358.00us
     90%  431.00us
     99%    1.02ms
  188299 requests in 2.00s, 610.53MB read
Requests/sec:  94116.72
Transfer/sec:    305.16MB
"""


def test_a_report_becomes_rate_latency_speed_and_cost() -> None:
    load = read_wrk(SAID, body_bytes=3000, cpu_seconds=1.5)
    assert (load.rate, load.p99_ms) == (94116.72, 1.02)
    assert load.speed == pytest.approx(94116.72 * 3000 / 1e6)
    assert load.cpu_seconds_per_gb == pytest.approx(1.5 / (188299 * 3000 / 1e9))


@pytest.mark.parametrize(("text", "wanted"), [("313.00us", 0.313), ("2.50s", 2500.0)])
def test_a_latency_has_its_unit(text: str, wanted: float) -> None:
    said = SAID.replace("1.02ms", text)
    assert read_wrk(said, body_bytes=1, cpu_seconds=0).p99_ms == pytest.approx(wanted)


@pytest.mark.parametrize(
    "trouble",
    ["  Non-2xx or 3xx responses: 4\n", "  Socket errors: connect 0, read 3, write 0, timeout 0\n"],
)
def test_a_report_of_trouble_is_no_figure(trouble: str) -> None:
    with pytest.raises(RuntimeError):
        read_wrk(SAID + trouble, body_bytes=1, cpu_seconds=0)
