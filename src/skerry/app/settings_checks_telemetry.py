"""What must be true of [telemetry] before a node starts.

Owns the rules. Dials nothing: whether a server takes bundles shows at work.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skerry.app.settings import Settings
from skerry.app.settings_errors import Problem
from skerry.app.settings_rules import file_trouble, refused, url_trouble

EVERY_SECONDS_MIN = 10.0
METHODS = ("PUT", "POST")


def check_telemetry(settings: Settings) -> Iterator[Problem]:
    """Every rule that is broken."""
    told = settings.telemetry
    for name, value in (
        ("sensitive_group_min", told.sensitive_group_min),
        ("events_bytes_max", told.events_bytes_max),
        ("bundles.keep", told.bundles.keep),
    ):
        if value < 1:
            yield refused(f"telemetry.{name}", value, "keeps nothing", "write at least 1")
    if not 0 < told.objectives.share <= 1:
        step = "write a share, e.g. 0.95"
        yield refused("telemetry.objectives.share", told.objectives.share, "is none", step)
    yield from _bundles(settings)


def _bundles(settings: Settings) -> Iterator[Problem]:
    bundles = settings.telemetry.bundles
    if bundles.every_seconds < EVERY_SECONDS_MIN:
        step = f"write at least {EVERY_SECONDS_MIN:g}s"
        yield refused("telemetry.bundles.every", bundles.every_seconds, "is too often", step)
    if bundles.method not in METHODS:
        step = "write PUT or POST"
        yield refused("telemetry.bundles.method", bundles.method, "sends no bundle", step)
    if bundles.url:
        yield from url_trouble("telemetry.bundles.url", bundles.url, plain_http=bundles.plain_http)
    yield from file_trouble("telemetry.bundles.ca_file", bundles.ca_file)
    yield from file_trouble("telemetry.bundles.token_file", bundles.token_file)
    if bundles.folder and not Path(bundles.folder).is_dir():
        step = "make the folder, writable for the node's user"
        yield refused("telemetry.bundles.folder", bundles.folder, "is no folder", step)
