"""What each route of the admin API takes and gives.

Owns that table; a test holds it to the routes that a node has. The shapes themselves are the types
that the routes read and write, and, where a route writes what has no type, the ones here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from skerry.app.admin.asked import (
    EvictRequest,
    ExportRequest,
    ImportRequest,
    ReferenceRequest,
    WarmRequest,
)
from skerry.app.admin.login import LoginRequest, Who
from skerry.app.admin.tokens import (
    Keys,
    KeysRequest,
    Revoked,
    RevokeRequest,
    RobotGone,
    RobotList,
    RobotMade,
    RobotRequest,
    TokenMade,
    TokenRequest,
)
from skerry.app.admin.trust import SignatureRequest
from skerry.app.budget.outcomes import OutcomeList, OutcomeRequest, OutcomeTaken
from skerry.app.edge.desk import PurgeRequest
from skerry.app.names.desk import KINDS, HoldRequest, NameBelief, NamesReport, ReleaseRequest
from skerry.app.names.domain_desk import CheckRequest, DomainList, Snapshot
from skerry.app.prewarm_desk import PrewarmRequest
from skerry.app.reload import Reloaded
from skerry.app.telemetry.alarms import AlarmList
from skerry.app.telemetry.bundle_list import BundleList
from skerry.app.telemetry.horizon_desk import HorizonList
from skerry.app.telemetry.room import IncidentList
from skerry.app.trust.shapes import AuditPage, GlassBroken, GlassRequest, GlassTerms, RootReport
from skerry.app.vault.desk import CareRequest, VaultStatus
from skerry.base.errors import Party
from skerry.budget.core.report import Report
from skerry.budget.core.summary import Costs
from skerry.budget.desk import Baseline, BudgetState
from skerry.budget.ports import Proof
from skerry.budget.recorded import LedgerHours
from skerry.cdn.core.prewarm import PrewarmEvent
from skerry.dashboard.overview import Overview
from skerry.registry.operations import (
    Evicted,
    Exported,
    ImageRow,
    Imported,
    Pinned,
    Removed,
    ScrubEvent,
    Signed,
    Status,
    Verified,
    WarmEvent,
)
from skerry.telemetry.events import Event

JSON, LINES = "application/json", "application/x-ndjson"


class Failure(msgspec.Struct):
    """What went wrong, whose turn it is, and what to do."""

    party: Party
    what: str
    next_step: str


class Failed(msgspec.Struct):
    """The body of every answer from 400 on."""

    error: Failure


class Images(msgspec.Struct):
    """The answer of GET /api/v1/images."""

    images: list[ImageRow]


class Happened(msgspec.Struct):
    """The answer of GET /api/v1/events."""

    events: list[Event]


class ReceiptFields(msgspec.Struct):
    """A purge on record."""

    version: int
    node: str
    sequence: int
    previous: str
    kind: str
    scope: str
    value: str
    mode: str
    object_count: int
    at_milliseconds: int
    signature: str
    ordered_by: str = ""


class SiblingConfirmed(msgspec.Struct):
    """Whether a sibling has a purge in force."""

    name: str
    confirmed: bool


class PurgeDone(msgspec.Struct):
    """The answer of POST /api/v1/purge."""

    receipt: ReceiptFields
    siblings: list[SiblingConfirmed]


class Receipts(msgspec.Struct):
    """The answer of GET /api/v1/purges."""

    public_key: str
    receipts: list[ReceiptFields]


class CareLine(msgspec.Struct):
    """A line of the vault's verification, repair and restoring."""

    step: str


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter; `schema` is JSON Schema."""

    name: str
    meaning: str
    schema: Mapping[str, object]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route. `lines`: the answer is a stream of `reply`, one JSON a line; `text`:
    it is no JSON, but this media type."""

    summary: str
    reply: type | None = None
    body: type | None = None
    queries: tuple[Query, ...] = ()
    lines: bool = False
    text: str = ""
    body_required: bool = True


TEXT = {"type": "string"}
_FLAGS = ["true", "false", "1", "0", ""]
_REFERENCE = Query("reference", "An image, as in docker pull.", {**TEXT, "minLength": 1}, True)
_MONTH = Query(
    "month",
    "Another month than this one; last for the one before.",
    {**TEXT, "pattern": "^(last|(19[7-9][0-9]|2[0-9]{3})-(0[1-9]|1[0-2]))$"},
)

_BUNDLES_AFTER = Query(
    "after", "The number of a bundle.", {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
)

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/api/v1/status"): Operation("How the node is.", Status),
    ("GET", "/api/v1/overview"): Operation("What the first page shows.", Overview),
    ("GET", "/api/v1/openapi.json"): Operation("This document.", dict),
    ("GET", "/api/v1/horizon"): Operation("What ends, the first first.", HorizonList),
    ("GET", "/api/v1/domains"): Operation("The watched domains.", DomainList),
    ("POST", "/api/v1/domains/check"): Operation(
        "Look at them now.", DomainList, CheckRequest, body_required=False
    ),
    ("GET", "/api/v1/domains/snapshot"): Operation(
        "What is seen of a domain, to be signed.", Snapshot,
        queries=(Query("domain", "A domain, example.org.", {**TEXT, "minLength": 1}, True),),
    ),
    ("GET", "/api/v1/names"): Operation("Where names were last, and what is held.", NamesReport),
    ("GET", "/api/v1/names/look"): Operation(
        "What is believed of a name.", NameBelief,
        queries=(
            Query("name", "A host or a domain.", {**TEXT, "maxLength": 253}, required=True),
            Query("type", "A if it is left out.", {"enum": list(KINDS)}),
        ),
    ),
    ("POST", "/api/v1/names/hold"): Operation("Hold a name.", NamesReport, HoldRequest),
    ("POST", "/api/v1/names/release"): Operation("Let it go.", NamesReport, ReleaseRequest),
    ("GET", "/api/v1/images"): Operation(
        "Every image.", Images,
        queries=(Query("missing", "Only those that are half here.", {"enum": _FLAGS}),),
    ),
    ("DELETE", "/api/v1/images"): Operation("Forget an image.", Removed, queries=(_REFERENCE,)),
    ("POST", "/api/v1/warm"): Operation(
        "Fetch what is missing of images.", WarmEvent, WarmRequest, lines=True
    ),
    ("POST", "/api/v1/pins"): Operation("Keep an image.", Pinned, ReferenceRequest),
    ("DELETE", "/api/v1/pins"): Operation(
        "Let an image be evicted.", Pinned, queries=(_REFERENCE,)
    ),
    ("POST", "/api/v1/scrub"): Operation("Check every byte.", ScrubEvent, lines=True),
    ("POST", "/api/v1/evict"): Operation(
        "Free room.", Evicted, EvictRequest, body_required=False
    ),
    ("POST", "/api/v1/export"): Operation("Write an OCI layout.", Exported, ExportRequest),
    ("POST", "/api/v1/import"): Operation("Read an OCI layout.", Imported, ImportRequest),
    ("GET", "/api/v1/events"): Operation(
        "What happened.", Happened,
        queries=(
            Query("since", "Seconds since 1970.", {"type": "number", "minimum": 0}),
            Query("kind", "Of one kind, or by its first word.", TEXT),
        ),
    ),
    ("GET", "/api/v1/incidents"): Operation(
        "What was lost, and how soon service here was good.", IncidentList,
        queries=(Query("since", "Seconds since 1970.", {"type": "number", "minimum": 0}),),
    ),
    ("GET", "/api/v1/bundles"): Operation(
        "The telemetry bundles on record, at most 50.", BundleList, queries=(_BUNDLES_AFTER,)
    ),
    ("GET", "/api/v1/bundles/lines"): Operation(
        "The same bundles as they were signed, one a line.", text=LINES, queries=(_BUNDLES_AFTER,)
    ),
    ("POST", "/api/v1/reload"): Operation("Read the settings again.", Reloaded),
    ("POST", "/api/v1/purge"): Operation("Take stored responses out.", PurgeDone, PurgeRequest),
    ("GET", "/api/v1/purges"): Operation(
        "The receipts of purges, at most 1,000.", Receipts,
        queries=(Query("after", "A sequence number.", {"type": "integer", "minimum": 0}),),
    ),
    ("POST", "/api/v1/prewarm"): Operation(
        "Fetch ahead for the sites.", PrewarmEvent, PrewarmRequest, lines=True
    ),
    ("GET", "/api/v1/signatures"): Operation(
        "Whose signatures an image has.", Verified, queries=(_REFERENCE,)
    ),
    ("POST", "/api/v1/signatures"): Operation("Attach a signature.", Signed, SignatureRequest),
    ("GET", "/api/v1/root"): Operation("How the root of trust stands.", RootReport),
    ("POST", "/api/v1/root"): Operation("Take what lies in the root's folder.", RootReport),
    ("GET", "/api/v1/break-glass"): Operation(
        "What a statement has to name.", GlassTerms, queries=(_REFERENCE,)
    ),
    ("POST", "/api/v1/break-glass"): Operation(
        "Serve an image for a time.", GlassBroken, GlassRequest
    ),
    ("GET", "/api/v1/audit"): Operation(
        "What was done about trust.", AuditPage,
        queries=(Query("after", "A number.", {"type": "integer", "minimum": 0}),),
    ),
    ("GET", "/api/v1/alarms"): Operation("The latest alarms.", AlarmList),
    ("POST", "/api/v1/alarms"): Operation("Send a test to every channel.", AlarmList),
    ("GET", "/api/v1/budget"): Operation("Where the budget stands.", BudgetState),
    ("GET", "/api/v1/report"): Operation("A month beside the last.", Report, queries=(_MONTH,)),
    ("GET", "/api/v1/baseline"): Operation(
        "A workflow over its last days.", Baseline,
        queries=(
            Query("workflow", "Its name.", {**TEXT, "minLength": 1}, True),
            Query("days", "How many.", {"type": "integer", "minimum": 1, "maximum": 366}),
        ),
    ),
    ("GET", "/api/v1/costs"): Operation("What a month has cost.", Costs, queries=(_MONTH,)),
    ("GET", "/api/v1/ledger"): Operation(
        "What was used, by the hour.", LedgerHours,
        queries=(
            _MONTH,
            Query("days", "The last days alone.", {"type": "integer", "minimum": 1, "maximum": 31}),
        ),
    ),
    ("GET", "/api/v1/ledger/focus"): Operation(
        "A month's charges as FOCUS 1.0.", queries=(_MONTH,), text="text/csv"
    ),
    ("GET", "/api/v1/ledger/verify"): Operation("Prove every closed bucket.", Proof),
    ("GET", "/api/v1/outcomes"): Operation("What is earned.", OutcomeList, queries=(_MONTH,)),
    ("POST", "/api/v1/outcomes"): Operation("Report it.", OutcomeTaken, OutcomeRequest),
    ("GET", "/api/v1/robots"): Operation("Every robot.", RobotList),
    ("POST", "/api/v1/robots"): Operation(
        "Make a robot; its secret is shown this once.", RobotMade, RobotRequest
    ),
    ("DELETE", "/api/v1/robots"): Operation(
        "Take a robot's rights away.", RobotGone,
        queries=(Query("name", "A robot.", {**TEXT, "minLength": 1}, True),),
    ),
    ("GET", "/api/v1/keys"): Operation("The keys that tokens are signed with.", Keys),
    ("POST", "/api/v1/keys"): Operation(
        "Change the keys.", Keys, KeysRequest, body_required=False
    ),
    ("POST", "/api/v1/revocations"): Operation(
        "Believe no more what was made for somebody.", Revoked, RevokeRequest
    ),
    ("POST", "/api/v1/tokens"): Operation(
        "A token of this door, for who asks.", TokenMade, TokenRequest, body_required=False
    ),
    ("GET", "/api/v1/session"): Operation("Who asks.", Who),
    ("POST", "/api/v1/session"): Operation("Log in; the answer sets a cookie.", Who, LoginRequest),
    ("DELETE", "/api/v1/session"): Operation("Log out.", dict),
    ("GET", "/api/v1/vault"): Operation("The vault's counts.", VaultStatus),
    ("POST", "/api/v1/vault/verify"): Operation(
        "Compare vault and disk.", CareLine, CareRequest, lines=True
    ),
    ("POST", "/api/v1/vault/repair"): Operation(
        "Compare, and heal each from the other.", CareLine, CareRequest, lines=True
    ),
    ("POST", "/api/v1/vault/restore"): Operation(
        "Take back what the vault has.", CareLine, CareRequest, lines=True
    ),
}  # fmt: skip
