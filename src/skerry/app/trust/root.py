"""The root of trust and broken glasses of one node: opened, joined with the registry, asked.

Owns the reading of the root's folder, and the admin door's routes about both. What may be believed
is `skerry.trust`'s to say. A node without a policy opens nothing of it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from skerry.adapters.sqlite_verdicts import SqliteVerdicts
from skerry.app.admin.replies import Routes, json_answer, read_body
from skerry.app.site import Site
from skerry.app.trust.root_folder import read_folder
from skerry.app.trust.shapes import AuditPage, GlassBroken, GlassRequest, GlassTerms, RootReport
from skerry.app.trust.verdict_book import TRUST_FILE
from skerry.base.digest import Digest
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.base.reference import Reference
from skerry.registry.assembly import RegistryRooms
from skerry.registry.operations import NotHeld
from skerry.trust.core.policies import Policies
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:  # both take cryptography
    from skerry.trust.glass import BreakGlass
    from skerry.trust.roots import RootOfTrust

AUDIT_PAGE = 500


class OpenTrust:
    """`registry.verdicts.Standing`, and what an operator asks of it."""

    def __init__(
        self,
        rooms: RegistryRooms,
        *,
        folder: Path | None,
        roots: RootOfTrust | None,
        glass: BreakGlass | None,
        book: SqliteVerdicts,
        node: Callable[[], str],
    ) -> None:
        self._rooms = rooms
        self._folder = folder
        self._roots = roots
        self._glass = glass
        self._book = book
        self._node = node

    def closed(self) -> str:
        """See `Standing`."""
        if self._book.roots_lost:
            return f"which root was trusted last is lost with {TRUST_FILE}"
        return self._roots.closed() if self._roots else ""

    def note(self) -> str:
        """See `Standing`."""
        return self._roots.note() if self._roots else ""

    def is_open(self, version: str, digest: Digest) -> bool:
        """See `Standing`."""
        return self._glass is not None and self._glass.is_open(version, digest)

    def open_until(self, version: str, digest: Digest) -> float | None:
        """See `Standing`."""
        return None if self._glass is None else self._glass.open_until(version, digest)

    async def start(self) -> None:
        """Raises RootRefused when nothing can be trusted."""
        if self._roots is not None and self._folder is not None and not self._book.roots_lost:
            await self._roots.start(await asyncio.to_thread(read_folder, self._folder))

    async def take(self) -> tuple[str, ...]:
        """Takes what lies in the folder now; says what was refused."""
        if self._roots is None or self._folder is None or self._book.roots_lost:
            return ()
        files = await asyncio.to_thread(read_folder, self._folder)
        return tuple(error.what for error in await self._roots.take(files))

    async def reload(self) -> tuple[str, tuple[str, ...]]:
        """The same, for a reload; first what of it is new, "" for nothing."""
        before = self._said()
        refused = await self.take()
        return self._said() if self._said() != before else "", refused

    def _said(self) -> str:
        found = self._roots.statistics() if self._roots else None
        if found is None:
            return ""
        return f"root {found.version}{' with a grace' if found.grace_until else ''}"

    async def watch(self) -> None:
        """Tells when the root stands otherwise than it did."""
        if self._roots is not None:
            await self._roots.watch()

    @property
    def routes(self) -> Routes:
        """What the admin door answers here."""
        return {
            "/api/v1/root": {"GET": self._get_root, "POST": self._take_root},
            "/api/v1/break-glass": {"GET": self._get_terms, "POST": self._break_glass},
            "/api/v1/audit": {"GET": self._get_audit},
        }

    async def _get_root(self, request: Request) -> Answer:
        return json_answer(self._report(()))

    async def _take_root(self, request: Request) -> Answer:
        if self._roots is None:
            raise SkerryError(
                "this node has no root of trust: its keys are in the settings",
                next_step="set trust.root and restart",
                party=Party.OPERATOR,
            )
        return json_answer(self._report(await self.take()))

    def _report(self, refused: tuple[str, ...]) -> RootReport:
        found = self._roots.statistics() if self._roots else None
        if found is None:
            return RootReport(refused=refused)
        known = {each: getattr(found, each) for each in found.__dataclass_fields__}
        return RootReport(**known, refused=refused)

    async def _get_terms(self, request: Request) -> Answer:
        reference = request.query_value("reference") or ""
        digest, policy, version = self._meant(reference)
        return json_answer(GlassTerms(reference, str(digest), policy, version, self._node()))

    async def _break_glass(self, request: Request) -> Answer:
        wanted = await read_body(request, GlassRequest)
        digest, policy, _ = self._meant(wanted.reference)
        rule = self._rooms.verdicts.rule_named(policy)
        try:
            statement = base64.b64decode(wanted.statement, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadInput("statement is not base64", next_step="send it as signed") from error
        if rule is None or self._glass is None:
            raise BadInput(f"there is no policy {policy} now", next_step="ask again")
        made = await self._glass.break_by(statement, rule, digest)
        return json_answer(
            GlassBroken(
                wanted.reference,
                str(digest),
                policy,
                made.owners,
                made.glass.ends_at,
                made.glass.reason,
                made.entry.number,
            )
        )

    def _meant(self, reference: str) -> tuple[Digest, str, str]:
        Reference.parse(reference)
        named = self._rooms.images.named(reference)
        digest = self._rooms.images.root(named)
        if digest is None:
            raise NotHeld(f"{named} is not on this node", next_step="pull it once, or warm it")
        rule = self._rooms.verdicts.rule_of(named.repository)
        if rule is None:
            raise BadInput(
                f"no policy holds for {named}: it is served without any signature",
                next_step="pull it",
            )
        return digest, rule.policy.name, rule.version

    async def _get_audit(self, request: Request) -> Answer:
        after = request.query_value("after") or "0"
        if not (after.isascii() and after.isdigit() and len(after) < 10):
            raise BadInput("after is no number", next_step="give the last number you have")
        return json_answer(AuditPage(self._book.roots.audit(int(after), AUDIT_PAGE)))


async def open_trust(site: Site, rooms: RegistryRooms, book: SqliteVerdicts) -> OpenTrust:
    """Opens what the settings ask for, and joins it. Raises RootRefused, SkerryError."""
    policies, settings = rooms.verdicts.policies, site.settings.trust

    @cache
    def node() -> str:
        return _fingerprint(site.settings.node.data_path)

    glass: BreakGlass | None = None
    roots: RootOfTrust | None = None
    folder = Path(settings.root) if settings.root else None
    if folder is not None:
        roots = _roots(site, rooms, book, policies)
    if policies.rules:
        from skerry.trust.glass import BreakGlass  # late, as all of cryptography

        broken = site.metrics.counter(
            "skerry_trust_glass",
            "Statements to break the glass, by outcome.",
            {"outcome": ("broken", "refused")},
        )
        glass = BreakGlass(
            book=book.roots,
            node=node,
            now=site.high_water.now,
            events=site.events,
            failures=site.failures,
            count=lambda outcome: broken.add(1, outcome),
            closed=lambda: opened.closed(),
        )
    opened = OpenTrust(rooms, folder=folder, roots=roots, glass=glass, book=book, node=node)
    rooms.verdicts.standing = opened
    await opened.start()
    return opened


def _roots(
    site: Site, rooms: RegistryRooms, book: SqliteVerdicts, policies: Policies
) -> RootOfTrust:
    from skerry.trust.roots import RootOfTrust

    def use(changed: Policies) -> None:
        rooms.verdicts.use(changed)
        site.hot.forget_all()

    roots = RootOfTrust(
        book=book.roots,
        rules=policies.rules,
        now=site.high_water.now,
        events=site.events,
        failures=site.failures,
        changed=use,
    )
    site.horizon.add(roots.expiries)
    site.metrics.gauge(
        "skerry_trust_root",
        "1 at how the root of trust stands: valid, under a grace, or expired.",
        roots.standings,
        {"standing": ("valid", "grace", "expired")},
    )
    return roots


def _fingerprint(data_dir: Path) -> str:
    """What tells this node from another in a statement."""
    from skerry.app.trust.node_key import ensure_key
    from skerry.trust.core.keys import parse_public_key

    return parse_public_key(ensure_key(data_dir).public_pem.encode()).fingerprint
