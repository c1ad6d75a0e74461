"""What must be true of [telemetry] before a node starts.

Owns the rules. Dials nothing: whether a server takes bundles shows at work.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skerry.app.settings.errors import Problem
from skerry.app.settings.rules import file_trouble, refused, url_trouble
from skerry.app.settings.schema import Settings
from skerry.telemetry.log_lines import LogFormat

EVERY_SECONDS_MIN = 10.0
METHODS = ("PUT", "POST")
FORMATS = tuple(each.value for each in LogFormat)
LEVELS = ("debug", "info", "warning", "error")


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
    yield from _otlp(settings)
    yield from _log(settings)


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


def _otlp(settings: Settings) -> Iterator[Problem]:
    otlp = settings.telemetry.otlp
    if otlp.every_seconds < 1:
        step = "write at least 1s"
        yield refused("telemetry.otlp.every", otlp.every_seconds, "is too often", step)
    if not 0 <= otlp.traces_share <= 1:
        step = "write a share from 0 to 1"
        yield refused("telemetry.otlp.traces_share", otlp.traces_share, "is no share", step)
    if otlp.url:
        yield from url_trouble(
            "telemetry.otlp.url", otlp.url, plain_http=otlp.plain_http, path=True
        )
    yield from file_trouble("telemetry.otlp.ca_file", otlp.ca_file)
    yield from file_trouble("telemetry.otlp.token_file", otlp.token_file)


def _log(settings: Settings) -> Iterator[Problem]:
    log = settings.log
    if log.format not in FORMATS:
        yield refused("log.format", log.format, "is not known", "write json or console")
    if log.level not in LEVELS:
        step = f"write one of {', '.join(LEVELS)}"
        yield refused("log.level", log.level, "is not known", step)
    if not 0 <= log.fast_share <= 1:
        step = "write a share from 0 to 1, e.g. 0.001"
        yield refused("log.fast_share", log.fast_share, "is no share", step)
