"""Signatures, as an operator speaks of them: what an image has, and one more for it.

Owns the report of a verdict, and the attaching of a signature that was made elsewhere to an image
pushed here. Never sees a private key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from skerry.base.clock import Clock
from skerry.base.digest import Digest, digest_of
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.registry.attachments import Attachment, beside, check_subject, referrer
from skerry.registry.core.manifests import MANIFEST_BYTES_MAX, OCI_MANIFEST, parse_manifest
from skerry.registry.images import Images, Named
from skerry.registry.operations import NotHeld, PassedOver, Signed, Signer, Verified
from skerry.registry.ports import Catalog, Manifest, Repository, Tag
from skerry.registry.verdicts import Verdicts
from skerry.store.ports import Store, StoreError
from skerry.trust.core import bundle, cosign, notation
from skerry.trust.core.artifacts import LAYERS_MAX, SignatureBlob, signature_blobs
from skerry.trust.core.policies import Rule
from skerry.trust.core.threshold import Format, Verdict, judge

TYPES = {
    Format.COSIGN: cosign.ATTACHED_TYPE,
    Format.BUNDLE: bundle.BUNDLE_TYPE,
    Format.NOTATION: notation.ATTACHED_TYPE,
}
"""What a referrer that holds signatures of a format says it is."""


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
        manifest = self._manifest(named, digest)
        rule = self._verdicts.rule_of(named.repository)
        report = Verified(str(named), str(digest), "", accepted=True)
        if rule is not None:
            found = await self._verdicts.claims(named.repository, digest, rule)
            verdict = judge(rule.policy, digest, found.claims, self._verdicts.now())
            report = self._report(named, digest, rule, verdict)
        return replace(report, media_type=manifest.media_type, size_bytes=manifest.size_bytes)

    async def attach(self, reference: str, kind: Format, payload: bytes, signature: str) -> Signed:
        """Keeps a signature with an image that was pushed here, as its format's tools do.

        Raises NotHeld, BadInput (it is of another image), SkerryError.
        """
        named, digest = self._held(reference)
        if not named.repository.local:
            raise SkerryError(
                f"{named} mirrors an upstream, whose signatures come with it",
                next_step="sign it there; the signature is fetched with the image",
                party=Party.OPERATOR,
            )
        check_subject(kind, payload, digest)
        subject = self._manifest(named, digest)
        made = referrer(kind, payload, signature, subject=subject, at=self._clock.now())
        async with self._turn:
            held = self._attached(named.repository, digest, kind)
            manifest = digest_of(made.manifest)
            if len(held | {manifest}) > LAYERS_MAX:
                raise SkerryError(
                    f"{digest} has {LAYERS_MAX} signatures already",
                    next_step="delete some of those that are attached to it, and sign anew",
                    party=Party.OPERATOR,
                )
            if kind is Format.COSIGN:
                await self._beside(named.repository, digest, payload, signature)
            await self._keep(named.repository, made)
        self._verdicts.forget_refusals()
        self._changed()
        count = len(held | {manifest})
        return Signed(str(named), str(digest), count, kind.value, str(manifest))

    def _attached(self, repository: Repository, digest: Digest, kind: Format) -> set[Digest]:
        wanted = TYPES[kind]
        return {
            each.digest
            for each in self._catalog.referrers(repository, digest)
            if each.artifact_type == wanted
        }

    async def _beside(
        self, repository: Repository, digest: Digest, payload: bytes, signature: str
    ) -> None:
        """Adds a cosign signature to those under the `.sig` tag, where older tools look."""
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
        await self._store.put(digest_of(payload), payload)
        sizes = [self._store.size_of(each.digest) or 0 for each in blobs]
        made = beside(blobs, sizes)
        kept = await self._keep(repository, Attachment(made.manifest, (*made.blobs, payload)))
        now = self._clock.now()
        await self._catalog.put_tag(Tag(repository, name, kept.digest, now, now))

    async def _keep(self, repository: Repository, made: Attachment) -> Manifest:
        now = self._clock.now()
        for data in made.blobs:
            await self._store.put(digest_of(data), data)
            await self._catalog.put_member(repository, digest_of(data), "blob", now=now)
        manifest = parse_manifest(made.manifest, OCI_MANIFEST)
        await self._store.put(manifest.digest, made.manifest)
        await self._catalog.put_manifest(repository, manifest, now=now)
        return manifest

    def _manifest(self, named: Named, digest: Digest) -> Manifest:
        found = self._catalog.manifest(digest)
        if found is None:
            raise NotHeld(f"{named} is not on this node", next_step="warm it, or see `skerry ls`")
        return found

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
        standing, closed = self._verdicts.standing, self._verdicts.why_closed(rule, digest)
        return Verified(
            str(named),
            str(digest),
            rule.policy.name,
            accepted=(verdict.accepted and not closed) or before is not None,
            threshold=rule.policy.threshold,
            required=tuple(sorted(rule.policy.required)),
            signers=tuple(Signer(owner, key) for owner, key in verdict.signers),
            passed_over=tuple(
                PassedOver(claim.fingerprint, claim.format.value, why.value)
                for claim, why in verdict.passed_over
            ),
            missing=closed if verdict.accepted else str(verdict),
            admitted_at=before,
            closed=standing.closed(),
            note=standing.note(),
            open_until=standing.open_until(rule.version, digest),
        )
