"""A door behind proxies that the operator trusts.

Owns that a front learns who asked and how, and that no ready answer is given to who asked
otherwise. Never decides who is believed: that is `wire.forwarded`.
"""

from __future__ import annotations

from dataclasses import replace

from skerry.adapters.http_hot_way import HotFields
from skerry.wire.forwarded import FORWARDED, PROTO, Trusted, as_asked
from skerry.wire.message import Answer, Handler, Request

_HARMLESS = frozenset({
    b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port",
    b"x-forwarded-proto", b"x-forwarded-server", b"x-real-ip",
})  # fmt: skip


class Behind:
    """Handler: asks the front with the client and the scheme that trusted proxies vouch for."""

    def __init__(self, front: Handler, trusted: Trusted) -> None:
        self._front = front
        self._trusted = trusted

    async def __call__(self, request: Request) -> Answer:
        answer = await self._front(as_asked(request, self._trusted))
        return answer if answer.hot is None else self._told_apart(request, answer)

    def _told_apart(self, request: Request, answer: Answer) -> Answer:
        """A ready answer is found by fields as they were sent, whoever sends them: so only a
        trusted proxy's one plain word makes one, and nobody else's `https` does."""
        said, hot = request.headers.all(PROTO), answer.hot
        plain = len(said) == 1 and "," not in said[0] and self._trusted.trusts(request.client)
        if hot is None or FORWARDED in request.headers or (said and not plain):
            return replace(answer, hot=None)
        names = (*hot.fields, PROTO.lower(), FORWARDED.lower())
        return replace(answer, hot=replace(hot, fields=tuple(dict.fromkeys(names))))


def told_by_proxies(fields: HotFields) -> HotFields:
    """With the fields of proxies: ready answers depend on no more of them than they name."""
    if fields.harmless is None:
        return fields
    return replace(fields, harmless=fields.harmless | _HARMLESS)
