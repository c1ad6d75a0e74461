"""The mirrors of the outage bench behind one face: where they listen, how they restart.

Owns how each is put on a road. docker-registry and drayage get a plain road by address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.rig.nodes import HOST
from tests.rig.outage import Fault, Road
from tests.rig.processes import Rig, Service


@dataclass
class Mirror:
    """One pull-through cache under test."""

    name: str
    prefix: str
    authority: Callable[[], str]
    restart: Callable[[], None]


def mirrors(fault: Fault) -> dict[str, Callable[[Rig, Road], Mirror]]:
    """Who can be measured with a fault."""
    found: dict[str, Callable[[Rig, Road], Mirror]] = {"skerry": _skerry}
    if not fault.tls and not fault.name.startswith("dns-"):
        found |= {"docker-registry": _distribution, "drayage": _drayage}
    return found


def _skerry(rig: Rig, road: Road) -> Mirror:
    # Waits as a node has them by default: nothing of the result comes from shorter ones.
    node = road.node(connect="1s", first_byte="3s", stall="5s")
    return Mirror("skerry", f"{HOST}/", lambda: node.registry, node.restart)


def _distribution(rig: Rig, road: Road) -> Mirror:
    service = rig.registry(proxy_of=f"http://127.0.0.1:{road.wan.port}")
    return _restartable("docker-registry", service)


def _drayage(rig: Rig, road: Road) -> Mirror:
    service = rig.drayage(f"http://127.0.0.1:{road.wan.port}")
    return _restartable("drayage", service)


def _restartable(name: str, service: Service) -> Mirror:
    return Mirror(name, service.prefix, lambda: service.authority, service.restart)
