"""The rules that `skerry slo rules` prints, judged by Debian's promtool, minute by minute.

What is expected is counted here from the windows and factors that the requirements name, not read
from the rules.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skerry.cli.main import make_app
from tests.rig.processes import need

# Requirements section 9: factor, long and short window in minutes; 99.9 % over 30 days.
TIERS = {"14.4x": (14.4, 60, 5), "6x": (6, 360, 30), "3x": (3, 1440, 120), "1x": (1, 4320, 360)}
BUDGET = 0.001
GOOD_PER_MINUTE = 600
INSTANCE = "rock:9090"


@dataclass(frozen=True)
class Course:
    """So long without an error, then so many a minute for so long, then none."""

    quiet_minutes: int
    errors_per_minute: int
    minutes: int

    def errors(self, minute: int, window: int) -> int:
        """Within the window that ends so many minutes after the first error."""
        begun = min(max(0, minute - window), self.minutes)
        return self.errors_per_minute * (min(minute, self.minutes) - begun)

    def burning(self, minute: int) -> set[str]:
        """The tiers that have to fire then; a node that is young is judged by what there is."""

        def over(window: int, factor: float) -> bool:
            errors = self.errors(minute, window)
            seen = min(window, minute + self.quiet_minutes)
            return errors > factor * BUDGET * (GOOD_PER_MINUTE * seen + errors)

        return {
            name
            for name, (factor, long, short) in TIERS.items()
            if over(long, factor) and over(short, factor)
        }

    def turns(self, tier: str) -> tuple[int, int]:
        """The first minute at which a tier fires, and the first at which it does no more."""
        fires = next(minute for minute in range(self.minutes) if tier in self.burning(minute))
        later = range(fires, self.minutes + TIERS[tier][1])
        return fires, next(minute for minute in later if tier not in self.burning(minute))


COURSES = {
    "14.4x": Course(120, 60, 30),  # a tenth fails
    "6x": Course(480, 6, 300),  # one in a hundred
    "3x": Course(1500, 3, 1000),  # one in two hundred
    "1x": Course(4320, 1, 2600),  # one in six hundred
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slo") / "skerry.rules.yml"
    printed = CliRunner().invoke(make_app(), ["slo", "rules"])
    assert printed.exit_code == 0
    path.write_text(printed.stdout)
    return path


@cache
def printed() -> str:
    """All of the rules."""
    return CliRunner().invoke(make_app(), ["slo", "rules", "--json"]).stdout


def only(path: Path, *groups: str) -> Path:
    """Some of the rules: thousands of minutes are judged."""
    kept = [group for group in json.loads(printed())["groups"] if group["name"] in groups]
    assert len(kept) == len(groups)
    path.write_text(json.dumps({"groups": kept}))
    return path


def promtool(*arguments: str) -> str:
    # It leaves much behind that is of no use: with a larger heap it cleans up less often.
    environment = {**os.environ, "GOGC": "400"}
    argv = [need("promtool"), *arguments]
    run = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def series(outcome: str, values: str) -> dict[str, str]:
    labels = f'job="skerry",instance="{INSTANCE}",class="public",outcome="{outcome}"'
    return {"series": f"skerry_edge_requests_total{{{labels}}}", "values": values}


def alert(rules: Path, name: str, tier: str = "") -> dict[str, object]:
    """What an alert says, its annotations as the rule has them."""
    [found] = [
        rule
        for group in json.loads(printed())["groups"]
        for rule in group["rules"]
        if rule.get("alert") == name and rule["labels"].get("tier", "") == tier
    ]
    told = {
        key: text.replace("{{ $labels.instance }}", INSTANCE).replace(
            "{{ $labels.service }}", "edge"
        )
        for key, text in found["annotations"].items()
    }
    labels = {**found["labels"], "job": "skerry", "instance": INSTANCE, "service": "edge"}
    return {"exp_labels": labels, "exp_annotations": told}


def expect(rules: Path, minute: int, tiers: Sequence[str]) -> Iterator[dict[str, object]]:
    """Exactly these burn at a minute, no other does, and nothing trickles unless it is named."""
    burning = [alert(rules, "SkerryErrorBudgetBurn", t) for t in tiers if t != "trickle"]
    trickle = [alert(rules, "SkerryTrickleFails", t) for t in tiers if t == "trickle"]
    for name, found in (("SkerryErrorBudgetBurn", burning), ("SkerryTrickleFails", trickle)):
        yield {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": found}


GROUPS = ["skerry-slo-records", "skerry-slo-burn", "skerry-money-burn", "skerry-recovery",
          "skerry-refusals"]  # fmt: skip


def play(rules: Path, folder: Path, inputs: list[dict[str, str]], expected: list[object]) -> None:
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        # Without it promtool takes the groups in any order, and an alert may come a minute late.
        "group_eval_order": [group for group in GROUPS if group in rules.read_text()],
        "tests": [{"interval": "1m", "input_series": inputs, "alert_rule_test": expected}],
    }
    path = folder / "test.yml"
    path.write_text(json.dumps(test))
    promtool("test", "rules", str(path))


def test_the_rules_are_sound(rules: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", str(rules))


@pytest.fixture(scope="module")
def error_rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those about errors."""
    path = tmp_path_factory.mktemp("slo") / "errors.rules.yml"
    return only(path, "skerry-slo-records", "skerry-slo-burn")


@pytest.fixture(scope="module")
def plays(
    error_rules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """The course of each tier, two of them played at a time, the longest first."""
    folder = tmp_path_factory.mktemp("courses")
    with ThreadPoolExecutor(2) as pool:
        yield {
            tier: pool.submit(played, error_rules, folder / tier, tier) for tier in reversed(TIERS)
        }


def played(rules: Path, folder: Path, tier: str) -> None:
    folder.mkdir()
    course = COURSES[tier]
    fires, resets = course.turns(tier)
    assert 0 < fires < course.minutes < resets
    quiet = course.quiet_minutes
    length = quiet + resets + 1
    errors = f"0x{quiet} {course.errors_per_minute}+{course.errors_per_minute}x{course.minutes - 1}"
    errors += f" {course.errors_per_minute * course.minutes}x{resets}"
    inputs = [series("hit", f"0+{GOOD_PER_MINUTE}x{length}"), series("failed", errors)]
    expected: list[object] = []
    for minute in (fires - 1, fires, resets - 1, resets):
        burning = sorted(course.burning(minute))
        assert (tier in burning) == (fires <= minute < resets)
        expected += expect(rules, quiet + minute, burning)
    play(rules, folder, inputs, expected)


@pytest.mark.parametrize("tier", TIERS)
def test_each_tier_fires_and_resets_at_its_minute(
    plays: dict[str, Future[None]], tier: str
) -> None:
    plays[tier].result()


def test_three_failures_an_hour_wake_nobody(error_rules: Path, tmp_path: Path) -> None:
    """All three requests of every hour fail, for three days and more."""
    hours = " ".join(f"{3 * hour}x59" for hour in range(76))
    expected: list[object] = []
    for hour in range(1, 76, 5):
        expected += expect(error_rules, hour * 60 + 1, [])
    play(error_rules, tmp_path, [series("failed", hours)], expected)


def test_nine_tenths_of_a_request_every_two_seconds_wake_somebody_within_the_hour(
    rules: Path, tmp_path: Path
) -> None:
    """A node that has just begun: 30 requests a minute, 27 of them fail."""
    inputs = [series("hit", "0+3x120"), series("failed", "0+27x120")]
    play(rules, tmp_path, inputs, [*expect(rules, 60, ["14.4x"])])


def test_a_trickle_that_fails_wakes_somebody_and_lets_him_sleep_again(
    rules: Path, tmp_path: Path
) -> None:
    """Three requests a minute, too few to speak of a rate; nearly all fail for half an hour."""
    inputs = [series("hit", "0+3x60 180x30 180+3x120"), series("failed", "0x60 3+3x29 90x120")]
    expected = [*expect(rules, 62, []), *expect(rules, 80, []), *expect(rules, 90, ["trickle"]),
                *expect(rules, 96, [])]  # fmt: skip
    play(rules, tmp_path, inputs, expected)


MONTH_MINUTES = 43_200
AMOUNT = 432.0  # 0.01 a minute, if it is to last for the month


@dataclass(frozen=True)
class Spending:
    """So much a minute for so long, after some was spent before; then nothing."""

    before: float
    per_minute: float
    minutes: int

    def at(self, minute: int) -> float:
        return self.before + self.per_minute * min(max(0, minute), self.minutes)

    def burning(self, minute: int) -> set[str]:
        """Of the tiers whose windows have been seen whole."""

        def over(window: int, factor: float) -> bool:
            spent = self.at(minute) - self.at(minute - window)
            return spent > factor * AMOUNT * window / MONTH_MINUTES

        return {
            name
            for name, (factor, long, short) in TIERS.items()
            if over(long, factor) and over(short, factor) and self.at(minute) >= 0.05 * AMOUNT
        }

    def values(self, quiet: int, length: int) -> str:
        """One sample a minute, `quiet` of them before any of it is spent."""
        return " ".join(f"{self.at(minute):.4f}" for minute in range(-quiet, length))


@pytest.fixture(scope="module")
def money_rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those about money."""
    return only(tmp_path_factory.mktemp("slo") / "money.rules.yml", "skerry-money-burn")


def money(spent: str, length: int) -> list[dict[str, str]]:
    labels = f'{{job="skerry",instance="{INSTANCE}",scope="node"}}'
    return [
        {"series": f"skerry_budget_spent{labels}", "values": spent},
        {"series": f"skerry_budget_amount{labels}", "values": f"{AMOUNT}x{length}"},
        {"series": f"skerry_budget_period_seconds{labels}",
         "values": f"{MONTH_MINUTES * 60}x{length}"},
    ]  # fmt: skip


def burns_of_money(rules: Path, minute: int, tiers: Iterable[str]) -> dict[str, object]:
    found = []
    for tier in sorted(tiers):
        expected = alert(rules, "SkerryMoneyBurn", tier)
        labels, told = expected["exp_labels"], expected["exp_annotations"]
        assert isinstance(labels, dict)
        assert isinstance(told, dict)
        del labels["service"]
        labels["scope"] = "node"
        told = {key: text.replace("{{ $labels.scope }}", "node") for key, text in told.items()}
        found.append({"exp_labels": labels, "exp_annotations": told})
    return {"eval_time": f"{minute}m", "alertname": "SkerryMoneyBurn", "exp_alerts": found}


@pytest.mark.parametrize(
    ("tier", "course"),
    [("14.4x", Spending(30.0, 0.2, 90)), ("6x", Spending(30.0, 0.08, 400)),
     ("3x", Spending(30.0, 0.04, 1500))],
)  # fmt: skip
def test_money_that_goes_too_fast_is_told_tier_by_tier(
    money_rules: Path, tmp_path: Path, tier: str, course: Spending
) -> None:
    quiet = TIERS[tier][1] + 1
    fires = next(minute for minute in range(course.minutes) if tier in course.burning(minute))
    # A sample that a window has at its very edge makes it a minute early or late.
    ends = next(m for m in range(fires, 9000) if tier not in course.burning(m))
    length = ends + 5
    inputs = money(course.values(quiet, length), quiet + length)
    expected: list[object] = []
    for minute in (0, fires // 2, fires + 3, (fires + course.minutes) // 2, ends + 3):
        burning = course.burning(minute)
        assert (tier in burning) == (fires <= minute < ends)
        expected.append(burns_of_money(money_rules, quiet + minute, burning))
    play(money_rules, tmp_path, inputs, expected)


def test_the_first_money_of_a_month_a_corrected_price_and_a_new_month_wake_nobody(
    money_rules: Path, tmp_path: Path
) -> None:
    """A tenth of a budget's twentieth at once; then half of the sum is taken back; then zero."""
    spent = "0x90 15x200 7x200 0x200"
    expected: list[object] = [
        burns_of_money(money_rules, minute, ()) for minute in range(1, 690, 7)
    ]
    play(money_rules, tmp_path, money(spent, 700), expected)
