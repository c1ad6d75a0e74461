"""The siblings of one node, from its settings: whose keys it trusts, and the way to each.

Owns that part of the composition. Holds no policy.
"""

from __future__ import annotations

from collections.abc import Callable

from skerry.app.settings.checks.siblings import read_sibling_key
from skerry.app.settings.schema import SiblingSettings
from skerry.app.trust.node_key import NodeKey, check_signature, read_public
from skerry.base.errors import BadInput
from skerry.cdn.sibling_assembly import SiblingParts
from skerry.cdn.sibling_keys import SiblingKeys
from skerry.upstream.ports import Dial, Exchange, Transport
from skerry.upstream.sources import Source, SourceKind
from skerry.wire.message import Headers

CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 1.0


class TransportLine:
    """`cdn.sibling_link.Line` over a transport."""

    def __init__(self, transport: Transport, settings: SiblingSettings) -> None:
        self._transport = transport
        source = Source(
            name=settings.name,
            url=settings.url,
            kind=SourceKind.SIBLING,
            dial=Dial(
                ca_file=settings.ca_file or None,
                connect_seconds=CONNECT_SECONDS,
                first_byte_seconds=ANSWER_SECONDS,
            ),
        )
        self._url, self._dial = source.url, source.content_dial

    async def post(self, path: str, headers: Headers, body: bytes) -> Exchange:
        """See `Line`."""
        kind = headers.with_fields(("Content-Type", "application/json"))
        return await self._transport.send("POST", f"{self._url}{path}", kind, self._dial, body)


def sibling_parts(
    siblings: tuple[SiblingSettings, ...],
    *,
    key: NodeKey,
    transport: Transport,
    refused: Callable[[], None],
) -> SiblingParts | None:
    """Those whose key is known; None without any. `refused` counts letters that are not believed.

    Raises BadInput, OSError.
    """
    known = {each.name: each for each in siblings if each.public_key_file}
    if not known:
        return None
    own = read_public(key.public_pem.encode())
    keys = {name: read_sibling_key(each) for name, each in known.items()}
    for name, public in keys.items():
        if public == own:
            raise BadInput(
                f"the public key of sibling {name} is this node's own",
                next_step="write there what `skerry receipt key` prints on the sibling",
            )
    return SiblingParts(
        SiblingKeys(own=own, sign=key.sign, check=check_signature, siblings=keys, refused=refused),
        {name: TransportLine(transport, each) for name, each in known.items()},
    )
