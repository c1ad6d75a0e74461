"""A figure's judgement: ratio, spread, bar and the line that is kept."""

from __future__ import annotations

import pytest

from bench import figures
from bench.figures import Better, compare, within

PAIRS = [(10.0, 5.0), (12.0, 4.0), (11.0, 6.0)]


def test_a_ratio_is_of_the_medians_and_its_spread_is_of_the_rounds() -> None:
    figure = compare("x", "1/s", peer="p", pairs=PAIRS, bar=2.0, better=Better.MORE)
    assert (figure.skerry, figure.peer_value, figure.ratio) == (11.0, 5.0, 2.2)
    assert figure.spread == (11 / 6, 3.0)


@pytest.mark.parametrize(
    ("bar", "better", "met"),
    [
        (2.2, Better.MORE, True),
        (2.3, Better.MORE, False),
        (2.2, Better.LESS, True),
        (2.1, Better.LESS, False),
    ],
)
def test_a_bar_is_met_from_its_own_side(bar: float, better: Better, met: bool) -> None:
    assert compare("x", "s", peer="p", pairs=PAIRS, bar=bar, better=better).met is met


def test_a_bound_is_a_peer_that_never_changes() -> None:
    figure = within("x", "s", values=[0.5, 0.9, 2.0], most=1.0)
    assert (figure.peer, figure.ratio, figure.met) == ("bound", 0.9, True)
    assert not within("x", "s", values=[1.5, 0.9, 2.0], most=1.0).met


def test_a_kept_line_says_everything_an_old_figure_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(figures, "machine", lambda: "this one")
    line = compare("x", "s", peer="p", pairs=PAIRS, bar=3.0, better=Better.LESS).line()
    wanted = {"bench", "skerry", "peer", "peer_value", "unit", "ratio", "bar", "met"}
    assert wanted | {"at", "machine", "rounds", "spread"} <= set(line)
    assert line["spread"] == [1.833, 3.0]
