"""Settings from file, environment and flags, in that order, the later ones winning.

Owns how a document becomes `Settings`; finds every wrong field before it gives up. Reads the
settings file and the environment it is given, nothing else of the machine but host name and
user; contacts nobody.
"""

from __future__ import annotations

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from skerry.app.settings.build import Written, build
from skerry.app.settings.checks.between import check
from skerry.app.settings.errors import Problem, SettingsError, shown
from skerry.app.settings.schema import (
    DEFAULT_UPSTREAMS,
    Settings,
    SiblingSettings,
    SiteSettings,
    SourceSettings,
    UpstreamSettings,
)

SYSTEM_FILE = Path("/etc/skerry/skerry.toml")
FILE_BYTES_MAX = 1 << 20
_VARIABLE = re.compile(r"SKERRY_[A-Z0-9_]+__[A-Z0-9_]+\Z")

Document: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the defaults depend on."""

    host_name: str
    user_id: int
    home: Path

    @classmethod
    def here(cls) -> Machine:
        """This machine and user."""
        return cls(socket.gethostname(), os.geteuid(), Path.home())


def load(
    path: Path | None,
    env: Mapping[str, str],
    overrides: Mapping[str, str],
    *,
    machine: Machine | None = None,
    only: str = "",
) -> Settings:
    """The node's settings, complete: name, data directory and paths are filled in.

    `path` is what --config named; without it SKERRY_CONFIG, then /etc/skerry/skerry.toml if it
    is there. `env` holds `SKERRY_SECTION__FIELD`, `overrides` holds dotted names from flags.
    Raises SettingsError with every problem found; with `only`, of what all fields hold together
    and of the files they name, no more than what concerns fields whose names begin so.
    """
    machine = machine or Machine.here()
    file = settings_file(path, env)
    document = _read(file) if file else {}
    problems: list[Problem] = []
    for variable, text in sorted(env.items()):
        # Only names with a double underscore are ours: container platforms set SKERRY_PORT and
        # the like by themselves when a service is called skerry.
        if _VARIABLE.match(variable):
            dotted = variable.removeprefix("SKERRY_").lower().replace("__", ".")
            _put(document, dotted, Written(text, variable), problems)
    for dotted, text in overrides.items():
        _put(document, dotted, Written(text, f"--set {dotted}"), problems)
    base = file.parent.absolute() if file else Path.cwd()
    settings = build(
        Settings, document, base=base, origin=str(file) if file else "", problems=problems
    )
    if settings is None or problems:
        raise SettingsError(problems)
    settings = complete(settings, env, machine)
    problems = [problem for problem in check(settings) if problem.field.startswith(only)]
    if problems:
        raise SettingsError(problems)
    return settings


def settings_file(path: Path | None, env: Mapping[str, str]) -> Path | None:
    """The file that is read, or None for embedded defaults alone."""
    if path is not None:
        return path
    if named := env.get("SKERRY_CONFIG"):
        return Path(named)
    return SYSTEM_FILE if SYSTEM_FILE.exists() else None


def default_data_dir(env: Mapping[str, str], machine: Machine) -> Path:
    """/var/lib/skerry for root, else below the user's data directory (XDG base directories)."""
    if machine.user_id == 0:
        return Path("/var/lib/skerry")
    data_home = env.get("XDG_DATA_HOME", "")
    # A relative XDG_DATA_HOME is to be ignored (XDG base directory specification).
    if not Path(data_home).is_absolute():
        return machine.home / ".local" / "share" / "skerry"
    return Path(data_home) / "skerry"


def complete(settings: Settings, env: Mapping[str, str], machine: Machine) -> Settings:
    """Fills in what depends on the machine or on other settings."""
    node = settings.node
    return msgspec.structs.replace(
        settings,
        node=msgspec.structs.replace(
            node,
            name=node.name or _name_of(machine.host_name),
            data_dir=node.data_dir or str(default_data_dir(env, machine)),
        ),
        upstreams=tuple(_upstream(upstream) for upstream in settings.upstreams),
        siblings=tuple(_sibling(sibling) for sibling in settings.siblings),
        sites=tuple(_site(site) for site in settings.sites),
    )


def _upstream(upstream: UpstreamSettings) -> UpstreamSettings:
    """An upstream without a source has the public one of its name."""
    known = {default.name: default.sources for default in DEFAULT_UPSTREAMS}
    sources = upstream.sources or known.get(
        upstream.name, (SourceSettings(name="origin", url=f"https://{upstream.name}"),)
    )
    return msgspec.structs.replace(upstream, sources=tuple(_source(source) for source in sources))


def _source(source: SourceSettings) -> SourceSettings:
    url = source.url.removesuffix("/")
    return msgspec.structs.replace(source, url=url, name=source.name or _host(url))


def _sibling(sibling: SiblingSettings) -> SiblingSettings:
    url = sibling.url.removesuffix("/")
    return msgspec.structs.replace(sibling, url=url, name=sibling.name or _host(url))


def _site(site: SiteSettings) -> SiteSettings:
    origins = tuple(origin.removesuffix("/") for origin in site.origins)
    elsewhere = tuple(origin.removesuffix("/") for origin in site.redirect_origins)
    return msgspec.structs.replace(site, origins=origins, redirect_origins=elsewhere)


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""  # said by the checks


def _name_of(host_name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", host_name)[:64] or "skerry"


def _read(path: Path) -> Document:
    try:
        data = path.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            raise SettingsError([_whole(path, "the file is over 1 MiB", "name a settings file")])
        return tomllib.loads(data.decode())
    except OSError as error:
        reason = f"cannot be read: {(error.strerror or 'unknown').lower()}"
        step = "create it, or name another with --config"
        raise SettingsError([_whole(path, reason, step)]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        step = "correct that line (https://toml.io)"
        raise SettingsError([_whole(path, f"not TOML: {error}", step)]) from error


def _whole(path: Path, reason: str, next_step: str) -> Problem:
    return Problem("", "", reason, next_step, str(path))


def _put(document: Document, dotted: str, written: Written, problems: list[Problem]) -> None:
    """Sets one scalar, over what the file said."""
    *sections, field = dotted.split(".")
    place: object = document
    for section in sections:
        place = place.setdefault(section, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict) or "[" in dotted or not sections:
        problems.append(
            Problem(
                dotted,
                shown(dotted, written.text),
                "only single settings can be set this way",
                "name a section and a field, or write lists of tables in the file",
                written.origin,
            )
        )
        return
    place[field] = written
