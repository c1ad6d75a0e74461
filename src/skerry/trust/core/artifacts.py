"""Signature manifests: which blobs of one are signatures, and how to read them.

Owns the layouts that cosign and Notation push (a `.sig` tag, or a manifest with a subject). That a
manifest says it is attached to an image is a place to look, never proof: the signature names what
it is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skerry.base.digest import Digest, InvalidDigest
from skerry.base.errors import BadInput
from skerry.trust.core import bundle, cosign, notation
from skerry.trust.core.policies import Believed
from skerry.trust.core.threshold import Claim, Format
from skerry.wire.strict_json import Json, load_object

MANIFEST_BYTES_MAX = 1 << 20
LAYERS_MAX = 64

_FORMATS = {
    cosign.PAYLOAD_TYPE: Format.COSIGN,
    bundle.BUNDLE_TYPE: Format.BUNDLE,
    notation.ENVELOPE_TYPE: Format.NOTATION,
}
BYTES_MAX = {
    Format.COSIGN: cosign.PAYLOAD_BYTES_MAX,
    Format.BUNDLE: bundle.BUNDLE_BYTES_MAX,
    Format.NOTATION: notation.ENVELOPE_BYTES_MAX,
}
ARTIFACT_TYPES = frozenset((cosign.ATTACHED_TYPE, bundle.BUNDLE_TYPE, notation.ATTACHED_TYPE))
"""Of referrers that may hold signatures."""


@dataclass(frozen=True, slots=True)
class SignatureBlob:
    """One blob that holds, or is signed by, a signature.

    Attributes:
        signature: base64, of the formats that keep it beside the blob; "" for the others.
    """

    format: Format
    digest: Digest
    signature: str = ""


def signature_blobs(manifest: bytes) -> tuple[SignatureBlob, ...]:
    """What of a manifest's layers is a signature; () for another kind of manifest.

    Raises BadInput for what is no manifest at all.
    """
    layers = load_object(manifest, bytes_max=MANIFEST_BYTES_MAX).get("layers")
    if not isinstance(layers, list):
        return ()
    found = (_blob(layer) for layer in layers[:LAYERS_MAX] if isinstance(layer, dict))
    return tuple(each for each in found if each is not None)


def claims_of(
    blob: SignatureBlob, data: bytes, manifest: bytes, believed: Believed, now: float
) -> tuple[Claim, ...]:
    """What a signature blob says of an image with this manifest. Raises BadInput."""
    match blob.format:
        case Format.COSIGN:
            return cosign.claims(data, blob.signature, believed.keys)
        case Format.BUNDLE:
            return bundle.claims(data, manifest, believed.keys)
        case Format.NOTATION:
            return notation.claims(data, believed.authorities, now)


def layers_of(entries: Sequence[SignatureBlob], sizes: Sequence[int]) -> list[dict[str, object]]:
    """The layers of a manifest that holds these cosign signatures, as cosign writes them."""
    return [
        {
            "mediaType": cosign.PAYLOAD_TYPE,
            "size": size,
            "digest": str(entry.digest),
            "annotations": {cosign.SIGNATURE_ANNOTATION: entry.signature},
        }
        for entry, size in zip(entries, sizes, strict=True)
    ]


def _blob(layer: Json) -> SignatureBlob | None:
    kind = _FORMATS.get(str(layer.get("mediaType")))
    annotations = layer.get("annotations")
    signature: object = ""
    if kind is Format.COSIGN:
        beside = annotations if isinstance(annotations, dict) else {}
        signature = beside.get(cosign.SIGNATURE_ANNOTATION)
        if not signature:
            return None
    if kind is None:
        return None
    try:
        return SignatureBlob(kind, Digest.parse(str(layer.get("digest"))), str(signature))
    except InvalidDigest as error:
        raise BadInput("a layer's digest is wrong") from error
