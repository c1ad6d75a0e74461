"""The routes of telemetry bundles, on a node that makes some and on one that does not.

Owns the shapes of the answers, and that the rooms behind them are loaded only where they are used:
signing takes cryptography, and most nodes make no bundles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.app.admin.replies import Routes
from skerry.base.errors import Party, SkerryError
from skerry.upstream.ports import Transport
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:
    from skerry.app.site import Ground, Site
    from skerry.app.telemetry.bundle_room import BundleRoom


def bundles_of(node: Site, ground: Ground, transport: Transport) -> BundleRoom | None:
    """The bundles of a node, None where it makes none. Raises NodeKeyError."""
    if not node.settings.telemetry.bundles.used:
        return None
    from skerry.app.telemetry.bundle_room import BundleRoom

    return BundleRoom(node, ground, transport)


def bundle_routes(room: BundleRoom | None) -> Routes:
    """What the admin door answers."""
    return {
        "/api/v1/bundles": {"GET": room.list if room else _none},
        "/api/v1/bundles/lines": {"GET": room.lines if room else _none},
    }


async def _none(request: Request) -> Answer:
    raise SkerryError(
        "this node makes no telemetry bundles",
        next_step="set telemetry.bundles.enabled, or where they go",
        party=Party.OPERATOR,
    )
