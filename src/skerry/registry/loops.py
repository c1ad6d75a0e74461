"""A request that has been here before ends here.

Owns the reading of `CDN-Loop` (RFC 8586). Siblings are asked only for what they hold, so a loop
takes a wrong configuration (a node as its own region); then one hop ends it.
"""

from __future__ import annotations

from skerry.registry.core.errors import Code, RegistryError
from skerry.wire.message import Headers

HOPS_MAX = 8


def refuse_loop(headers: Headers, node_id: str) -> None:
    """Raises RegistryError (508) when this node is on the request's way already."""
    hops = [hop.strip() for hop in headers.joined("CDN-Loop").split(",") if hop.strip()]
    own = {f"skerry;id={node_id}", f'skerry;id="{node_id}"'}
    if any(hop.replace(" ", "") in own for hop in hops) or len(hops) > HOPS_MAX:
        raise RegistryError(
            Code.UNSUPPORTED,
            "the request has come back to this node",
            status=508,
            next_step="a source or sibling in the settings leads back here; remove it",
        )
