"""For whom something is used: what the settings say of tenants, workflows and priorities.

Owns the look-up from a site's route or a repository to its dimension. Never changes once made:
other settings make another plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from skerry.budget.core.usage import NODE, Dimension

LOCAL = "local"
"""What the ledger calls the repositories that are pushed here."""


class Priority(StrEnum):
    """What is let go of first when money runs out; protected routes are never touched."""

    LOW = "low"
    NORMAL = "normal"
    PROTECTED = "protected"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a site, a route or an upstream is."""

    tenant: str
    priority: Priority = Priority.NORMAL


NOBODY = Owner(NODE.tenant)


@dataclass(frozen=True, slots=True)
class Workflow:
    """A named set of routes (`host/prefix`) and repositories (patterns)."""

    name: str
    routes: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it. Names that are not in it belong to the node itself.

    Attributes:
        routes: by site and prefix, as the settings have them.
        upstreams: by name; `LOCAL` for what is pushed here.
    """

    routes: Mapping[tuple[str, str], Owner] = field(default_factory=dict)
    upstreams: Mapping[str, Owner] = field(default_factory=dict)
    workflows: tuple[Workflow, ...] = ()

    def route(self, site: str, prefix: str, data_class: str) -> Dimension:
        """The dimension of a site's route."""
        owner = self.routes.get((site, prefix))
        if owner is None:
            return NODE
        named = f"{site}{prefix}".rstrip("/")
        workflow = next(
            (flow.name for flow in self.workflows if any(_below(named, r) for r in flow.routes)), ""
        )
        return Dimension(owner.tenant, site, prefix, "", data_class, workflow)

    def repository(self, upstream: str, name: str) -> Dimension:
        """The dimension of a repository; `upstream` is `LOCAL` for one that is pushed here."""
        owner = self.upstreams.get(upstream)
        if owner is None:
            return NODE
        full = f"{upstream}/{name}"
        workflow = next(
            (
                flow.name
                for flow in self.workflows
                if any(fnmatchcase(full, pattern) for pattern in flow.repositories)
            ),
            "",
        )
        return Dimension(owner.tenant, upstream=upstream, workflow=workflow)

    def upstream(self, name: str) -> Dimension:
        """The dimension of an upstream or a site as a whole, for what no request is known of."""
        if name in self.upstreams:
            return Dimension(self.upstreams[name].tenant, upstream=name)
        owner = next((each for (site, _), each in self.routes.items() if site == name), None)
        return NODE if owner is None else Dimension(owner.tenant, site=name)

    def owner_of(self, name: str, prefix: str = "") -> Owner:
        """Whose a site's route or an upstream is; nobody's is the node's own."""
        found = self.routes.get((name, prefix)) if prefix else self.upstreams.get(name)
        return found or NOBODY

    @property
    def tenants(self) -> tuple[str, ...]:
        """Every tenant that is named, the node's own included, sorted."""
        owners = (*self.routes.values(), *self.upstreams.values())
        return tuple(sorted({NODE.tenant, *(owner.tenant for owner in owners)}))


def _below(named: str, route: str) -> bool:
    """Whether a route is the one a workflow names, or below it."""
    top = route.rstrip("/")
    return named == top or named.startswith(f"{top}/")
