"""Rules for Prometheus: when a budget burns too fast, of errors or of money, when recovery was too
slow, and when something was not believed.

Owns the windows and factors (multi-window, multi-burn-rate alerts; on a period of 30 days for
errors, on that of its budget for money), the guard for low traffic and the rule for trickles
(requirements S0, S3, S4 and section 9). Makes values; evaluates nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

Value = str | int | Mapping[str, "Value"] | Sequence["Value"]
Document = Mapping[str, Value]

REQUESTS_PER_SECOND_MIN = 0.1
"""Below, a share of errors says nothing: one failure of ten an hour would burn for days."""
TRICKLE_ERRORS_MIN = 10
TRICKLE_SHARE = 0.5
"""Where only a trickle comes: so many errors in an hour, and so large a share of it, is a fault."""

REFUSALS_WINDOW = "15m"
"""How long a refusal is told of."""

MONEY_SHARE_MIN = 0.05
"""Of a budget of money: while less of it is spent, how fast that went is no matter."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The budget burns `factor` times as fast as it may, seen over both windows.

    The long one says that it matters, the short one that it still goes on.
    """

    factor: float
    long: str
    short: str
    severity: str

    @property
    def windows(self) -> tuple[str, str]:
        return self.long, self.short


TIERS = (
    Tier(14.4, "1h", "5m", "page"),
    Tier(6, "6h", "30m", "page"),
    Tier(3, "1d", "2h", "ticket"),
    Tier(1, "3d", "6h", "ticket"),
)
WINDOWS = {"5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21_600, "1d": 86_400,
           "3d": 259_200}  # fmt: skip
"""In seconds."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is asked for, and which answers count: those that let the asker down are errors."""

    name: str
    metric: str
    counts: str
    errors: str


SERVICES = (
    Service(
        "registry",
        "skerry_registry_answers_total",
        'kind=~"manifest|blob",outcome!="refused"',
        'kind=~"manifest|blob",outcome=~"failed|unavailable"',
    ),
    Service(
        "edge",
        "skerry_edge_requests_total",
        'outcome!="refused"',
        'outcome="failed"',
    ),
)


@dataclass(frozen=True, slots=True)
class Goals:
    """What the rules hold a node to.

    Attributes:
        availability: share of requests answered, e.g. 0.999.
        recovery_share: share of incidents that are over in their time.
        horizon_seconds: less than this until something expires is told.
    """

    availability: float = 0.999
    recovery_share: float = 0.95
    horizon_seconds: float = 86400.0


def rules(
    goals: Goals, *, strangers: Collection[str] = (), of_outages: Collection[str] = ()
) -> Document:
    """A file of rules for Prometheus.

    Args:
        strangers: causes of refusals that any stranger can raise at a door, as often as he likes;
            nobody is woken for one.
        of_outages: causes that an outage raises, too; nobody is told of one while something is
            lost.
    """
    return {
        "groups": [
            {"name": "skerry-slo-records", "rules": list(_records())},
            {"name": "skerry-slo-burn", "rules": list(_burns(goals))},
            {"name": "skerry-money-burn", "rules": list(_money())},
            {"name": "skerry-recovery", "rules": list(_recovery(goals))},
            {"name": "skerry-refusals", "rules": list(_refusals(strangers, of_outages))},
        ]
    }


def _records() -> Iterator[Document]:
    for window in WINDOWS:
        for service in SERVICES:
            labels = {"service": service.name}
            yield {
                "record": f"skerry:slo_requests:rate{window}",
                "expr": f"sum by (job, instance) (rate({service.metric}"
                f"{{{service.counts}}}[{window}]))",
                "labels": labels,
            }
            yield {
                "record": f"skerry:slo_errors:rate{window}",
                "expr": f"sum by (job, instance) (rate({service.metric}"
                f"{{{service.errors}}}[{window}]))",
                "labels": labels,
            }


def _burns(goals: Goals) -> Iterator[Document]:
    budget = 1 - goals.availability
    for tier in TIERS:
        bound = f"{tier.factor * budget:.10g}"
        over = " and ".join(
            f"skerry:slo_errors:rate{window} > {bound} * skerry:slo_requests:rate{window}"
            for window in tier.windows
        )
        guard = f"skerry:slo_requests:rate{tier.long} >= {REQUESTS_PER_SECOND_MIN}"
        yield {
            "alert": "SkerryErrorBudgetBurn",
            "expr": f"{over} and {guard}",
            "labels": {"severity": tier.severity, "tier": f"{tier.factor:g}x"},
            "annotations": {
                "summary": "{{ $labels.instance }} {{ $labels.service }}: the budget of errors "
                f"burns {tier.factor:g} times too fast",
                "description": f"Over {tier.long} and {tier.short}. See what failed: skerry "
                "events, skerry status.",
            },
        }
    errors, requests = "skerry:slo_errors:rate1h", "skerry:slo_requests:rate1h"
    yield {
        "alert": "SkerryTrickleFails",
        "expr": f"{requests} < {REQUESTS_PER_SECOND_MIN} and {errors} * 3600 >= "
        f"{TRICKLE_ERRORS_MIN} and {errors} >= {TRICKLE_SHARE} * {requests} "
        f"and skerry:slo_errors:rate30m >= {TRICKLE_SHARE} * skerry:slo_requests:rate30m "
        "and skerry:slo_errors:rate5m > 0",
        "labels": {"severity": "page", "tier": "trickle"},
        "annotations": {
            "summary": "{{ $labels.instance }} {{ $labels.service }}: the few requests fail",
            "description": "Too few to speak of a rate. See what failed: skerry events.",
        },
    }


def _money() -> Iterator[Document]:
    """A gauge that falls where a period begins or a price is corrected: then these are silent."""
    spent, amount = "skerry_budget_spent", "skerry_budget_amount"
    for tier in TIERS:
        over = " and ".join(
            f"delta({spent}[{window}]) > {tier.factor:g} * {WINDOWS[window]} * {amount} "
            "/ skerry_budget_period_seconds"
            for window in tier.windows
        )
        yield {
            "alert": "SkerryMoneyBurn",
            "expr": f"{over} and {spent} >= {MONEY_SHARE_MIN} * {amount}",
            "labels": {"severity": tier.severity, "tier": f"{tier.factor:g}x"},
            "annotations": {
                "summary": "{{ $labels.instance }}: the budget of {{ $labels.scope }} is spent "
                f"{tier.factor:g} times too fast",
                "description": f"Over {tier.long} and {tier.short}. See what for: skerry costs.",
            },
        }


def _recovery(goals: Goals) -> Iterator[Document]:
    yield _alert(
        "SkerryLocalServiceBad",
        "skerry_local_service_good == 0",
        severity="page",
        lasting="2m",
        summary="{{ $labels.instance }} does not serve well what it has",
        description="Whatever is lost outside: this should not be. See skerry status.",
    )
    yield _alert(
        "SkerryCutOff",
        "skerry_incidents_open > 0",
        severity="info",
        lasting="5m",
        summary="{{ $labels.instance }}: {{ $labels.lost }} lost, served from here meanwhile",
        description="Which and since when: skerry incidents.",
    )
    missed = 'skerry_incidents_recovered_total{origin="real",within="no"}'
    every = 'skerry_incidents_recovered_total{origin="real"}'
    yield _alert(
        "SkerryRecoveryTooSlow",
        f"sum by (job, instance, lost, measure) (increase({missed}[30d])) > "
        f"{1 - goals.recovery_share:.10g} * "
        f"sum by (job, instance, lost, measure) (increase({every}[30d]))",
        severity="ticket",
        lasting="0s",
        summary="{{ $labels.instance }}: recovery from {{ $labels.lost }} loss was too slow",
        description="Of the last 30 days. See skerry incidents.",
    )
    yield _alert(
        "SkerryHorizonNear",
        f"skerry_horizon_seconds < {goals.horizon_seconds:.10g}",
        severity="ticket",
        lasting="10m",
        summary="{{ $labels.instance }}: a {{ $labels.kind }} expires soon",
        description="Until then the node can go on alone. See what to renew: skerry status.",
    )


def _refusals(strangers: Collection[str], of_outages: Collection[str]) -> Iterator[Document]:
    """One alert for each cause: what is refused on an attack is no mistake, and the other way."""

    def risen(blame: str, how: str, causes: Collection[str]) -> str:
        series = (
            "skerry_validation_failures_total"
            f'{{blame="{blame}",cause{how}"{"|".join(sorted(causes))}"}}'
        )
        return f"sum by (job, instance, cause) (increase({series}[{REFUSALS_WINDOW}])) > 0"

    for severity, how in (("page", "!~"), ("ticket", "=~")):
        yield _alert(
            "SkerryAttack",
            risen("attack", how, strangers),
            severity=severity,
            lasting="0s",
            summary="{{ $labels.instance }}: an attack was refused: {{ $labels.cause }}",
            description="Nothing of it was kept or served. See whose it was: skerry events; what "
            "to do is told for each cause in docs/operating/refusals.md.",
        )
    lost = f"max by (job, instance) (max_over_time(skerry_incidents_open[{REFUSALS_WINDOW}])) > 0"
    yield _alert(
        "SkerryMisconfiguration",
        risen("misconfiguration", "!~", of_outages),
        severity="ticket",
        lasting="0s",
        summary="{{ $labels.instance }}: not believed, by somebody's mistake: {{ $labels.cause }}",
        description="What to do is told for each cause in docs/operating/refusals.md.",
    )
    yield _alert(
        "SkerryUnverifiable",
        f"{risen('misconfiguration', '=~', of_outages)} unless on (job, instance) {lost}",
        severity="ticket",
        lasting="5m",  # until an outage was seen as one
        summary="{{ $labels.instance }}: could not be checked, though nothing is lost: "
        "{{ $labels.cause }}",
        description="What to do is told for each cause in docs/operating/refusals.md.",
    )


def _alert(
    name: str, expression: str, *, severity: str, lasting: str, summary: str, description: str
) -> Document:
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description},
    }


def as_yaml(value: Value, indent: int = 0) -> str:
    """A document as YAML: mappings, sequences, and scalars in the quotes of JSON."""
    space = "  " * indent
    if isinstance(value, Mapping):
        return "".join(
            f"{space}{key}:\n{as_yaml(each, indent + 1)}"
            if not isinstance(each, str | int)
            else f"{space}{key}: {json.dumps(each)}\n"
            for key, each in value.items()
        )
    if isinstance(value, str | int):
        return f"{space}{json.dumps(value)}\n"
    return "".join(
        f"{space}- {as_yaml(each, indent + 1).removeprefix('  ' * (indent + 1))}" for each in value
    )
