"""What must be true of the nodes beside this one.

Owns the rules for [[sibling]]. Reads the named files; asks nobody whether a sibling is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skerry.app.settings.errors import Problem
from skerry.app.settings.rules import bundle_trouble, file_trouble, refused, url_trouble
from skerry.app.settings.schema import Settings, SiblingSettings
from skerry.base.errors import BadInput

KEY_BYTES_MAX = 4096


def check_siblings(siblings: tuple[SiblingSettings, ...]) -> Iterator[Problem]:
    """Every rule that is broken, in the order of the file."""
    names: set[str] = set()
    keys: dict[bytes, str] = {}
    for index, sibling in enumerate(siblings):
        at = f"sibling[{index}]"
        if sibling.name in names:
            reason = "another sibling has the name"
            yield refused(f"{at}.name", sibling.name, reason, "give each its own name")
        names.add(sibling.name)
        yield from url_trouble(f"{at}.url", sibling.url, plain_http=sibling.plain_http)
        yield from bundle_trouble(f"{at}.ca_file", sibling.ca_file)
        yield from _key(f"{at}.public_key_file", sibling, keys)


def sibling_warnings(settings: Settings) -> tuple[str, ...]:
    """What is allowed but should be known, one sentence each."""
    if not settings.sites:
        return ()
    return tuple(
        f"{sibling.name} is told of no purge and gives nothing of a site: set "
        "sibling.public_key_file"
        for sibling in settings.siblings
        if not sibling.public_key_file
    )


def read_sibling_key(sibling: SiblingSettings) -> bytes:
    """The 32 bytes of a sibling's public key. Raises BadInput, OSError."""
    # Cryptography takes longer to load than all the rest: who has no such sibling need not wait.
    from skerry.app.trust.node_key import read_public

    with Path(sibling.public_key_file).open("rb") as file:
        return read_public(file.read(KEY_BYTES_MAX))


def _key(field: str, sibling: SiblingSettings, keys: dict[bytes, str]) -> Iterator[Problem]:
    path = sibling.public_key_file
    problems = list(file_trouble(field, path))
    yield from problems
    if not path or problems:
        return
    try:
        key = read_sibling_key(sibling)
    except (BadInput, OSError):
        step = "write it there with `skerry receipt key`, on the sibling"
        yield refused(field, path, "holds no node's public key", step)
        return
    if key in keys:
        reason = f"is the key of {keys[key]} too"
        yield refused(field, path, reason, "give each sibling its own key")
    keys.setdefault(key, sibling.name)
