"""Errors that name the party at fault, keep the cause and tell the operator the next step.

Owns the root of every error Skerry raises on purpose. Never logs.
"""

from __future__ import annotations

from enum import StrEnum


class Party(StrEnum):
    """Who has to act for the error to go away."""

    CLIENT = "client"
    OPERATOR = "operator"
    UPSTREAM = "upstream"
    NODE = "node"


class SkerryError(Exception):
    """An expected failure.

    Attributes:
        party: who is at fault.
        what: one sentence, without a trailing full stop, that says what went wrong and where.
        next_step: one sentence that says what to do, or "" when nothing can be done.
    """

    party: Party = Party.NODE

    def __init__(self, what: str, *, next_step: str = "", party: Party | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step
        if party is not None:
            self.party = party

    def __str__(self) -> str:
        return f"{self.what}; {self.next_step}" if self.next_step else self.what


class BadInput(SkerryError):
    """Something a client or an operator wrote cannot be understood."""

    party = Party.CLIENT
