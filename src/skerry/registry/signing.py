"""Signatures, as an operator speaks of them: what an image has, and one more for it.

Owns the report of a verdict, and the attaching of a signature that was made elsewhere to an image
pushed here, in cosign's layout. Never sees a private key.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from skerry.base.clock import Clock
from skerry.base.digest import Digest, digest_of
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.registry.core.manifests import MANIFEST_BYTES_MAX, OCI_MANIFEST, parse_manifest
from skerry.registry.images import Images, Named
from skerry.registry.operations import NotHeld, PassedOver, Signed, Signer, Verified
from skerry.registry.ports import Catalog, Repository, Tag
from skerry.registry.verdicts import Verdicts
from skerry.store.ports import Store, StoreError
from skerry.trust.core import cosign
from skerry.trust.core.artifacts import LAYERS_MAX, SignatureBlob, layers_of, signature_blobs
from skerry.trust.core.policies import Rule
from skerry.trust.core.threshold import Format, Verdict, judge

_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_CONFIG = b'{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}'


class Signing:
    """Verifying and signing by name."""

    def __init__(
        self,
        *,
        images: Images,
        verdicts: Verdicts,
        catalog: Catalog,
        store: Store,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self._images = images
        self._verdicts = verdicts
        self._catalog = catalog
        self._store = store
        self._clock = clock
        self._changed = changed
        self._turn = asyncio.Lock()

    async def verify(self, reference: str) -> Verified:
        """Judges an image that is here by what is here. Raises NotHeld, RegistryError."""
        named, digest = self._held(reference)
        rule = self._verdicts.rule_of(named.repository)
        if rule is None:
            return Verified(str(named), str(digest), "", accepted=True)
        found = await self._verdicts.claims(named.repository, digest, rule)
        verdict = judge(rule.policy, digest, found.claims, self._verdicts.now())
        return self._report(named, digest, rule, verdict)

    async def attach(self, reference: str, payload: bytes, signature: str) -> Signed:
        """Keeps a cosign signature beside an image that was pushed here.

        Raises NotHeld, BadInput (the payload is of another image), SkerryError.
        """
        named, digest = self._held(reference)
        if not named.repository.local:
            raise SkerryError(
                f"{named} mirrors an upstream, whose signatures come with it",
                next_step="sign it there; the signature is fetched with the image",
                party=Party.OPERATOR,
            )
        if cosign.subject_of(payload) != digest:
            raise BadInput(f"that signature is not of {digest}", next_step="sign it again")
        async with self._turn:
            count = await self._attach(named.repository, digest, payload, signature)
        self._verdicts.forget_refusals()
        self._changed()
        return Signed(str(named), str(digest), count)

    async def _attach(
        self, repository: Repository, digest: Digest, payload: bytes, signature: str
    ) -> int:
        name = f"{digest.algorithm}-{digest.hex}.sig"
        blobs = [*await self._signatures(repository, name)]
        blob = SignatureBlob(Format.COSIGN, digest_of(payload), signature)
        if blob not in blobs:
            blobs.append(blob)
        if len(blobs) > LAYERS_MAX:
            raise SkerryError(
                f"{digest} has {LAYERS_MAX} signatures already",
                next_step=f"delete the tag {name} and sign anew",
                party=Party.OPERATOR,
            )
        now = self._clock.now()
        for data in (payload, _CONFIG):
            await self._store.put(digest_of(data), data)
            await self._catalog.put_member(repository, digest_of(data), "blob", now=now)
        sizes = [self._store.size_of(each.digest) or 0 for each in blobs]
        body = _manifest(blobs, sizes)
        made = parse_manifest(body, OCI_MANIFEST)
        await self._store.put(made.digest, body)
        await self._catalog.put_manifest(repository, made, now=now)
        await self._catalog.put_tag(Tag(repository, name, made.digest, now, now))
        return len(blobs)

    async def _signatures(self, repository: Repository, tag: str) -> tuple[SignatureBlob, ...]:
        held = self._catalog.tag(repository, tag)
        if held is None:
            return ()
        try:
            data = await self._store.read(held.digest, bytes_max=MANIFEST_BYTES_MAX)
            return signature_blobs(data)
        except (StoreError, BadInput):
            return ()

    def _held(self, reference: str) -> tuple[Named, Digest]:
        named = self._images.named(reference)
        digest = self._images.root(named)
        if digest is None:
            raise NotHeld(f"{named} is not on this node", next_step="warm it, or see `skerry ls`")
        return named, digest

    def _report(self, named: Named, digest: Digest, rule: Rule, verdict: Verdict) -> Verified:
        before = self._verdicts.admitted_at(rule, digest)
        return Verified(
            str(named),
            str(digest),
            rule.policy.name,
            accepted=verdict.accepted or before is not None,
            threshold=rule.policy.threshold,
            required=tuple(sorted(rule.policy.required)),
            signers=tuple(Signer(owner, key) for owner, key in verdict.signers),
            passed_over=tuple(
                PassedOver(claim.fingerprint, claim.format.value, why.value)
                for claim, why in verdict.passed_over
            ),
            missing="" if verdict.accepted else str(verdict),
            admitted_at=before,
        )


def _manifest(blobs: list[SignatureBlob], sizes: list[int]) -> bytes:
    config = {
        "mediaType": _CONFIG_TYPE,
        "size": len(_CONFIG),
        "digest": str(digest_of(_CONFIG)),
    }
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": layers_of(blobs, sizes),
    }
    return json.dumps(document, separators=(",", ":")).encode()
