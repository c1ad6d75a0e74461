"""The telemetry bundles of a node: made, kept, put where they are to be, and told of.

Owns which file, key and address they go with, and the routes. A node whose bundles cannot be made
serves all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from skerry.adapters.counts_file import CountsFile
from skerry.adapters.sqlite_bundles import SqliteBundles
from skerry.aio.offload import Aside
from skerry.app.admin.replies import NDJSON, headers_of, json_answer
from skerry.app.settings.telemetry import BundleSettings
from skerry.app.telemetry.bundle_delivery import Delivery, Server, ToFolder, ToServer
from skerry.app.telemetry.bundle_list import BundleList, BundleRow
from skerry.app.trust.node_key import NodeKey, ensure_key, read_public
from skerry.base.errors import BadInput, SkerryError
from skerry.telemetry.bundling import Bundling
from skerry.telemetry.core.bundles import file_name, read
from skerry.telemetry.events import Level
from skerry.upstream.ports import Dial, Transport
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:
    from skerry.app.site import Ground, Site

COUNTS = "counters.kept"
PAGE = 50
"""Bundles in one answer."""


class BundleRoom:
    """The bundles of one node."""

    def __init__(self, node: Site, ground: Ground, transport: Transport) -> None:
        """Opens nothing yet. Raises NodeKeyError."""
        settings = node.settings.telemetry.bundles
        self._node = node
        self._aside = Aside()
        self._key: NodeKey = ensure_key(node.settings.node.data_path)
        self._public = read_public(self._key.public_pem.encode())
        self._book = SqliteBundles(ground.book.file, count_max=settings.keep)
        self._deliveries = [
            Delivery(
                each,
                book=self._book,
                name=lambda sequence: file_name(self._public, sequence),
                clock=node.clock,
                events=node.events,
                chance=node.chance,
            )
            for each in _destinations(settings, transport)
        ]
        self.bundling = Bundling(
            node=node.settings.node.name,
            sign=self._key.sign,
            book=self._book,
            incidents=ground.book,
            counts=CountsFile(node.settings.node.data_path / COUNTS),
            metrics=node.metrics,
            clock=node.clock,
            every_seconds=settings.every_seconds,
            made=self._look,
        )

    async def start(self) -> None:
        """Begins. A record that cannot be read is told, and bundles begin when it can."""
        node = self._node
        try:
            await self.bundling.open()
        except SkerryError as error:
            node.events.emit(
                "bundles.not_made",
                "telemetry",
                cause=error.what,
                next_step=error.next_step,
                level=Level.ERROR,
            )
            return
        node.ends.push_async_callback(self.bundling.end)
        node.nursery.start(self.bundling.run(), name="bundles")
        for each in self._deliveries:
            node.nursery.start(each.run(), name="bundles.put")

    def _look(self) -> None:
        for each in self._deliveries:
            each.look()

    async def list(self, request: Request) -> Answer:
        rows = await self._aside.read(self._rows, _after(request))
        now = [each.statistics() for each in self._deliveries]
        return json_answer(
            BundleList(
                self._key.public_pem,
                tuple(rows),
                {each.called: each.waiting_count for each in now},
                {each.called: each.trouble for each in now if each.trouble},
            )
        )

    def _rows(self, after: int) -> Sequence[BundleRow]:
        """In a thread: a page of large bundles takes a while to read."""
        rows = []
        for line in self._book.lines(after, count_max=PAGE):
            found = read(line)
            contents = found.contents
            rows.append(
                BundleRow(
                    found.sequence,
                    file_name(self._public, found.sequence),
                    contents.began_at_milliseconds / 1000,
                    contents.ended_at_milliseconds / 1000,
                    len(line) + 1,
                )
            )
        return rows

    async def lines(self, request: Request) -> Answer:
        after = _after(request)
        lines = await self._aside.read(lambda: self._book.lines(after, count_max=PAGE))
        return Answer(200, headers_of(NDJSON), b"".join(line + b"\n" for line in lines))


def _destinations(settings: BundleSettings, transport: Transport) -> Sequence[ToFolder | ToServer]:
    found: list[ToFolder | ToServer] = []
    if settings.folder:
        found.append(ToFolder(Path(settings.folder)))
    if settings.url:
        host = urlsplit(settings.url).hostname or ""
        dial = Dial(
            connect_seconds=settings.connect_seconds,
            first_byte_seconds=settings.first_byte_seconds,
            ca_file=settings.ca_file or None,
            connections_max=1,
            private_hosts=frozenset({host}),
        )
        server = Server(settings.url, settings.method, dial, lambda: _token(settings.token_file))
        found.append(ToServer(server, transport))
    return found


def _token(path: str) -> str:
    """Read each time: a short-lived one is renewed under the node."""
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path} cannot be read", next_step="see telemetry.bundles.token_file"
        ) from error


def _after(request: Request) -> int:
    text = request.query_value("after") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadInput("after is not a number", next_step="send the number of a bundle")
    return int(text)
