"""Settings of nodes under test, as values.

Owns one place where a test's node is described: one upstream `up.test`, short waits, so that a
broken one costs tenths of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import bcrypt

from skerry.app.drill.processes import Setting

HOST = "up.test"
USER, PASSWORD = "keeper", "salt-and-rock"


def source(url: str, **more: Setting) -> dict[str, Setting]:
    """One source with short waits."""
    plain = url.startswith("http://")
    waits = {"connect": "300ms", "first_byte": "500ms", "stall": "500ms"}
    return {"name": "origin", "url": url, "plain_http": plain, **waits, **more}


def settings(
    url: str,
    *,
    window: str = "1h",
    windows: Mapping[str, str] | None = None,
    registry: Mapping[str, Setting] | None = None,
    dns_port: int = 0,
    **more: Setting,
) -> dict[str, Setting]:
    """A node that pulls `up.test/...` through from a URL.

    `windows` maps tag patterns to windows; every other tag has `window`. `more` goes into the
    source.
    """
    tag_windows = [
        {"pattern": pattern, "window": length}
        for pattern, length in {**(windows or {}), "*": window}.items()
    ]
    whole: dict[str, Setting] = {
        "registry": {"answer_within": "3s", "tag_window": tag_windows, **(registry or {})},
        "upstream": [{"name": HOST, "source": [source(url, **more)]}],
    }
    if dns_port:
        whole["dns"] = {"servers": [f"127.0.0.1:{dns_port}"]}
    return whole


def with_local(base: Mapping[str, Setting], folder: Path) -> dict[str, Setting]:
    """The same node, also taking pushes to `local/*` from one user."""
    users = folder / "users"
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    users.write_text(f"{USER}:{hashed}\n")
    registry = base["registry"]
    assert isinstance(registry, Mapping)
    local = {"enabled": True, "namespaces": ["local/*"]}
    return {**base, "registry": {**registry, "users_file": str(users), "local": local}}
