"""What must be true of [vault] before a node starts.

Owns the rules. Dials nothing: whether the store answers shows at work, and the node serves without.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from skerry.app.settings.errors import Problem
from skerry.app.settings.rules import file_trouble, refused, url_trouble
from skerry.app.settings.schema import Settings, VaultSettings
from skerry.app.vault.files import (
    CredentialsError,
    VaultKeyError,
    key_path,
    read_credentials,
    read_vault_key,
)
from skerry.cdn.ports import DataClass

SCHEMES = ("s3", "file", "az", "gs")
EXAMPLES = "write s3://bucket/prefix, file:///directory, az://container/prefix or gs://bucket"


def check_vault(settings: Settings) -> Iterator[Problem]:
    """Every rule that is broken; none for a node without a vault."""
    vault = settings.vault
    if not vault.used:
        return
    yield from _url(vault, settings.node.data_path)
    if vault.endpoint:
        yield from url_trouble("vault.endpoint", vault.endpoint, plain_http=vault.plain_http)
    yield from file_trouble("vault.ca_file", vault.ca_file)
    try:
        read_credentials(vault.url, vault.credentials_file, os.environ)
    except CredentialsError as error:
        given = vault.credentials_file
        yield refused("vault.credentials_file", given, error.what, error.next_step)
    path = key_path(vault.key_file, settings.node.data_path)
    if path.exists():
        try:
            read_vault_key(path)
        except (VaultKeyError, OSError) as error:
            step = error.next_step if isinstance(error, VaultKeyError) else "check its rights"
            yield refused("vault.key_file", str(path), "cannot be used", step)
    for name in ("bytes_per_second", "read_micros_per_gib"):
        value: int = getattr(vault, name)
        if value < 0:
            yield refused(f"vault.{name}", value, "is negative", "write 0 or more")
    if vault.copies_waiting_max < 1:
        value = vault.copies_waiting_max
        yield refused("vault.copies_waiting_max", value, "lets nothing in", "allow at least 1")


def vault_warnings(settings: Settings) -> Iterator[str]:
    """What is allowed but should be known, one sentence each."""
    vault = settings.vault
    if not vault.used:
        return
    public = [
        route
        for site in settings.sites
        for route in site.routes
        if route.data_class == DataClass.PUBLIC and route.vault is not False
    ]
    if not public:
        yield "the vault gets no copies: no route is public and lets them"
    if vault.credentials_file and _mode(vault.credentials_file) & 0o077:
        yield f"{vault.credentials_file} can be read by others: chmod 600 it"
    if vault.plain_http and vault.endpoint.startswith("http:"):
        yield "the vault's store is reached in the clear; what is sent there is sealed all the same"


def _url(vault: VaultSettings, data_path: Path) -> Iterator[Problem]:
    field = "vault.url"
    try:
        parts = urlsplit(vault.url)
        secret = parts.username is not None or parts.password is not None
    except ValueError:
        yield refused(field, vault.url, "is not a URL", EXAMPLES)
        return
    if parts.scheme not in SCHEMES:
        yield refused(field, vault.url, "is no kind of vault", EXAMPLES)
    elif secret:
        step = "put them into vault.credentials_file"
        yield refused(field, vault.url, "must not carry credentials", step)
    elif parts.query or parts.fragment or ".." in unquote(parts.path).split("/"):
        yield refused(field, vault.url, "has more than a place and a prefix", EXAMPLES)
    elif parts.scheme == "file":
        folder = Path(unquote(parts.path))
        if parts.netloc or not parts.path.strip("/"):
            yield refused(field, vault.url, "names no directory", "write file:///directory")
        elif data_path in (folder, *folder.parents):
            step = "name a directory on another disk"
            yield refused(field, vault.url, "is inside the node's own data directory", step)
    elif not parts.netloc:
        yield refused(field, vault.url, "names no bucket", EXAMPLES)


def _mode(path: str) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return 0
