"""What is wrong with the settings, said so that it can be put right.

Owns the error and the masking of secrets in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from skerry.base.errors import Party, SkerryError

MASK = "***"
_SECRET = re.compile(r"pass|secret|token|auth|key$|credential", re.IGNORECASE)
_NO_SECRETS = frozenset({"access.token"})
"""How long a token holds, for one: what says so is no secret."""
_SECRET_URL = re.compile(r"(?:alarms\.webhook\[\d+\]|telemetry\.otlp)\.url\Z")
_PATH = re.compile(r"(://[^/?#]*)[/?#].+\Z", re.DOTALL)
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong setting.

    Attributes:
        field: dotted, with the index in lists: `upstream[0].source[1].url`; "" for a whole file.
        value: what was written, secrets masked.
        reason: why it is refused.
        next_step: what to write instead.
        origin: the file, variable or flag it came from, "" when it was nowhere written.
    """

    field: str
    value: str
    reason: str
    next_step: str
    origin: str = ""

    def __str__(self) -> str:
        subject = self.field or self.origin
        value = f" = {self.value}" if self.value else ""
        origin = f" (in {self.origin})" if self.origin and self.field else ""
        return f"{subject}{value}: {self.reason}; {self.next_step}{origin}"


class SettingsError(SkerryError):
    """The settings were refused. `problems` has every one that was found, in file order."""

    party = Party.OPERATOR

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def field(self) -> str:
        """The first wrong field."""
        return self.problems[0].field


def without_userinfo(url: str) -> str:
    """A URL with its user and password masked."""
    return _USERINFO.sub(f"{MASK}@", url)


def without_path(url: str) -> str:
    """A URL down to its host: of some services the path is the password."""
    return _PATH.sub(rf"\1/{MASK}", without_userinfo(url))


def shown(field: str, value: object) -> str:
    """A value as it may be printed: secrets masked, long ones cut."""
    named = _SECRET.search(field.rpartition(".")[2]) and field not in _NO_SECRETS
    if named and not field.endswith("_file"):
        return MASK
    if isinstance(value, str):
        masked = without_path if _SECRET_URL.match(field) else without_userinfo
        text = f'"{masked(value)}"'
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, list | dict):
        # A table of the wrong kind may hold anything: say its kind, not its content.
        text = f"a {'list' if isinstance(value, list) else 'table'} of {len(value)}"
    else:
        text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
