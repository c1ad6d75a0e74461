"""The admin door's routes about signatures.

Owns their JSON. What a verdict is, and where a signature goes, is `registry.signing`'s.
"""

from __future__ import annotations

import base64
import binascii
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from skerry.app.admin.replies import Routes, json_answer, read_body
from skerry.base.errors import BadInput
from skerry.base.reference import Reference
from skerry.registry.assembly import Parts, RegistryRooms
from skerry.trust.core.threshold import Format
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:
    from skerry.registry.signing import Signing


class SignatureRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/signatures, in base64: cosign's payload and the signature over it, or a
    bundle or an envelope that holds its signature."""

    reference: str
    payload: str
    signature: str = ""
    format: Format = Format.COSIGN


def trust_routes(rooms: RegistryRooms, parts: Parts) -> Routes:
    """`/api/v1/signatures`: GET judges an image, POST adds a signature to one."""

    @cache
    def signing() -> Signing:
        # Late: it takes cryptography, and most nodes are never asked.
        from skerry.registry.signing import Signing

        return Signing(
            images=rooms.images,
            verdicts=rooms.verdicts,
            catalog=parts.catalog,
            store=parts.store,
            clock=parts.clock,
            changed=parts.changed,
        )

    async def verify(request: Request) -> Answer:
        reference = request.query_value("reference") or ""
        Reference.parse(reference)
        return json_answer(await signing().verify(reference))

    async def attach(request: Request) -> Answer:
        wanted = await read_body(request, SignatureRequest)
        Reference.parse(wanted.reference)
        try:
            payload = base64.b64decode(wanted.payload, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadInput("payload is not base64", next_step="send it as signed") from error
        if (wanted.format is Format.COSIGN) != bool(wanted.signature):
            raise BadInput(
                "a cosign payload has its signature beside it, the others hold theirs",
                next_step="send `signature` with cosign's format alone",
            )
        made = await signing().attach(wanted.reference, wanted.format, payload, wanted.signature)
        return json_answer(made)

    return {"/api/v1/signatures": {"GET": verify, "POST": attach}}
