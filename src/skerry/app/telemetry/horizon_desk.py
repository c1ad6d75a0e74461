"""How long the node can go on alone: what it adds to the horizon itself, the route and the alarm.

Owns the reading of the CA files that the settings name, off the event loop, and how often the
horizon is looked at. What the doors show is the doors' to say; other rooms add their own sources.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass

from skerry.app.admin.replies import Routes, json_answer
from skerry.app.settings.schema import Settings
from skerry.base.clock import Clock
from skerry.telemetry.events import Events
from skerry.telemetry.horizon import NEXT_STEPS, Expires, Expiry, Horizon
from skerry.telemetry.horizon_alarm import HorizonAlarm
from skerry.wire.message import Answer, Request

LOOK_SECONDS = 30.0
FILE_BYTES_MAX = 1 << 20
EXPIRIES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """One thing that expires, as the API tells it. `seconds` is negative once it has."""

    kind: str
    what: str
    at: float
    seconds: float
    next_step: str


@dataclass(frozen=True, slots=True)
class HorizonList:
    """The answer of GET /api/v1/horizon, the first to end first."""

    expiries: tuple[Listed, ...]


class CaFiles:
    """The CA bundles that the settings trust for what is dialled, and when each ends.

    A bundle ends with its last certificate: until then something of it may still verify.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        """`files` maps a path to what it is for."""
        self._files = dict(files)
        self._seen: dict[str, tuple[int, int]] = {}
        self._ends: dict[str, float] = {}

    def use(self, files: Mapping[str, str]) -> None:
        """Takes others; they are read at the next `read`."""
        self._files = dict(files)

    def expiries(self) -> tuple[Expiry, ...]:
        """What was read last."""
        return tuple(
            Expiry(Expires.TLS_CERTIFICATE, f"{path} (CA of {self._files[path]})", at)
            for path, at in tuple(self._ends.items())
            if path in self._files
        )

    def read(self) -> None:
        """Reads what has changed. One that cannot be read keeps what was known of it."""
        for path in tuple(self._files):
            try:
                status = os.stat(path)
                stamp = (status.st_mtime_ns, status.st_size)
                if self._seen.get(path) == stamp:
                    continue
                with open(path, "rb") as file:
                    data = file.read(FILE_BYTES_MAX)
            except OSError:
                continue  # whoever dials with it says so
            self._seen[path] = stamp
            at = bundle_end(data)
            if at is not None:
                self._ends[path] = at


def bundle_end(data: bytes) -> float | None:
    """When the last certificate of a PEM bundle ends, in seconds since the epoch."""
    # Late: a node without such files saves the time and the memory.
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError:
        return None
    return max((each.not_valid_after_utc.timestamp() for each in found), default=None)


def _named(settings: Settings) -> dict[str, str]:
    """Every CA file that the settings name, and what it is for."""
    named = [
        *((s.ca_file, f"the upstream {u.name}") for u in settings.upstreams for s in u.sources),
        *((sibling.ca_file, f"the sibling {sibling.name}") for sibling in settings.siblings),
        *((site.ca_file, f"the site {site.name}") for site in settings.sites),
        (settings.vault.ca_file if settings.vault.used else "", "the vault"),
    ]
    return {path: what for path, what in named if path}


class HorizonDesk:
    """The horizon of one node, for people."""

    def __init__(
        self, settings: Settings, *, horizon: Horizon, events: Events, clock: Clock
    ) -> None:
        self._horizon = horizon
        self._clock = clock
        self._files = CaFiles(_named(settings))
        self._alarm = HorizonAlarm(
            horizon,
            events=events,
            now=horizon.now,
            below_seconds=settings.horizon.alarm_below_seconds,
            quiet=[Expires(kind) for kind in settings.horizon.quiet],
        )
        horizon.add(self._files.expiries)

    @property
    def routes(self) -> Routes:
        """What the admin door answers here."""
        return {"/api/v1/horizon": {"GET": self._get}}

    def use(self, settings: Settings) -> None:
        """Takes the files of other settings."""
        self._files.use(_named(settings))

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.to_thread(self._files.read)
            self._alarm.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def _get(self, request: Request) -> Answer:
        now = self._horizon.now()
        listed = (
            Listed(each.kind, each.what, each.at, each.at - now, NEXT_STEPS[each.kind])
            for each in self._horizon.expiries()[:EXPIRIES_MAX]
        )
        return json_answer(HorizonList(tuple(listed)))
