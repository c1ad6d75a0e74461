"""Several handlers behind one door, by the beginning of the path.

Owns the choice only.
"""

from __future__ import annotations

from skerry.wire.message import Answer, Handler, Request


class Mounted:
    """Handler: what is below `prefix` (which ends with a slash) goes to `below`, all else to
    `front`."""

    def __init__(self, front: Handler, *, prefix: str, below: Handler) -> None:
        self._front = front
        self._prefix = prefix
        self._below = below

    async def __call__(self, request: Request) -> Answer:
        path = request.raw_path or request.path
        return await (self._below if path.startswith(self._prefix) else self._front)(request)
