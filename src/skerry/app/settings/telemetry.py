"""Settings of what the node tells about itself: metrics, logs, events.

Owns the shapes only, like `settings`.
"""

from __future__ import annotations

import msgspec

from skerry.app.settings.units import Bytes, Count, FilePath, Seconds, SecretUrl, Share

MIB = 2**20


class ObjectiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[telemetry.objectives]: within how long what was lost has to be made good."""

    share: Share = 0.95
    interrupted_seconds: Seconds = msgspec.field(default=2.0, name="interrupted")
    local_service_seconds: Seconds = msgspec.field(default=2.0, name="local_service")
    node_seconds: Seconds = msgspec.field(default=120.0, name="node")
    disk_seconds: Seconds = msgspec.field(default=1200.0, name="disk")
    rollback_seconds: Seconds = msgspec.field(default=10.0, name="rollback")


class BundleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[telemetry.bundles]: how often one is made, how many are kept, and where they are put."""

    enabled: bool = False
    every_seconds: Seconds = msgspec.field(default=3600.0, name="every")
    keep: Count = 10_000
    folder: FilePath = ""
    url: str = ""
    method: str = "PUT"
    token_file: FilePath = ""
    ca_file: FilePath = ""
    plain_http: bool = False
    connect_seconds: Seconds = msgspec.field(default=5.0, name="connect")
    first_byte_seconds: Seconds = msgspec.field(default=30.0, name="first_byte")

    @property
    def used(self) -> bool:
        """Whether the node makes bundles: also when it is said where they go."""
        return self.enabled or bool(self.folder or self.url)


class OtlpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[telemetry.otlp]: a collector that metrics and traces are sent to; none without `url`."""

    url: SecretUrl = ""
    every_seconds: Seconds = msgspec.field(default=30.0, name="every")
    metrics: bool = True
    traces: bool = True
    traces_share: Share = 0.01
    token_file: FilePath = ""
    ca_file: FilePath = ""
    plain_http: bool = False
    connect_seconds: Seconds = msgspec.field(default=2.0, name="connect")
    first_byte_seconds: Seconds = msgspec.field(default=5.0, name="first_byte")


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[log]: what is written to standard error, and how."""

    format: str = "json"
    level: str = "info"
    requests: bool = True
    fast_share: Share = 0.0


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[telemetry]: `sensitive_group_min` is how many requests stand together at the least."""

    sensitive_group_min: Count = 10
    events_keep_seconds: Seconds = msgspec.field(default=90 * 86400.0, name="events_keep")
    events_bytes_max: Bytes = 64 * MIB
    objectives: ObjectiveSettings = ObjectiveSettings()
    bundles: BundleSettings = BundleSettings()
    otlp: OtlpSettings = OtlpSettings()
