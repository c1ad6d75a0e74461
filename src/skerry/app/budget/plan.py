"""From settings to whose everything is.

Owns the translation only.
"""

from __future__ import annotations

from skerry.app.settings.schema import Settings
from skerry.budget.core.plan import LOCAL, Owner, Plan, Priority, Workflow
from skerry.budget.core.usage import NODE


def plan_of(settings: Settings) -> Plan:
    """The tenants, priorities and workflows that the settings describe."""
    tenants = {tenant.name: Priority(tenant.priority) for tenant in settings.budget.tenants}

    def owner(tenant: str, priority: str = "") -> Owner:
        default = tenants.get(tenant, Priority.NORMAL)
        return Owner(tenant or NODE.tenant, Priority(priority) if priority else default)

    upstreams = {each.name: owner(each.tenant, each.priority) for each in settings.upstreams}
    if settings.registry.local.enabled:
        upstreams[LOCAL] = owner(settings.registry.local.tenant)
    return Plan(
        routes={
            (site.name, route.prefix): owner(site.tenant, route.priority)
            for site in settings.sites
            for route in site.routes
        },
        upstreams=upstreams,
        workflows=tuple(
            Workflow(flow.name, flow.routes, flow.repositories)
            for flow in settings.budget.workflows
        ),
    )
