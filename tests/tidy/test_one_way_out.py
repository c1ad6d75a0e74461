"""Nothing leaves a node but by the guard, and nothing is unpacked in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.tidy.sources import Source, python_files

DIALLERS = {
    "skerry.adapters.http_client_dialing": "the guard's own",
    "skerry.adapters.guarded_way": "the guard for a library that dials by itself",
    "skerry.adapters.obstore_vault": "that library; it is given the guarded way",
    "skerry.adapters.dns_lines": "the configured name servers, by address",
    "skerry.adapters.dns_door": "listens for questions; answers go to who asked",
    "skerry.adapters.alarm_mail": "the mail server that the operator names, and no other",
    "skerry.cli.admin_client": "an operator's command to its own node",
    "skerry.app.drill.client": "the drill to its own throw-away node",
    "skerry.app.drill.wan": "the drill's own link",
    "skerry.app.drill.names": "the drill's own name server",
}
"""Modules that may open a connection, each with its reason. A new one is a way past the guard."""
LIBRARIES = {"http.client", "urllib.request", "aiohappyeyeballs", "obstore", "aiohttp", "httpx",
             "requests", "urllib3", "ftplib", "smtplib"}  # fmt: skip
CALLS = {"open_connection", "create_connection", "start_connection", "create_datagram_endpoint",
         "sock_connect", "open_unix_connection"}  # fmt: skip

UNPACKERS = {"gzip", "zlib", "bz2", "lzma", "zstandard", "brotli", "brotlicffi", "zipfile",
             "compression", "backports.zstd"}  # fmt: skip
UNPACKING = {"skerry.app.drill.images": "makes the drill's layers"}

SOURCES = [source for source in python_files() if source.in_package]


def dials(source: Source) -> Iterator[str]:
    for name in source.imports():
        if any(name == each or name.startswith(f"{each}.") for each in LIBRARIES):
            yield f"{source.path}: imports {name}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if name in CALLS:
                yield f"{source.path}:{node.lineno}: calls {name}"


def unpacks(source: Source) -> Iterator[str]:
    for name in source.imports():
        if any(name == each or name.startswith(f"{each}.") for each in UNPACKERS):
            yield f"{source.path}: imports {name}"


def test_t03_nothing_dials_past_the_guard() -> None:
    found = [
        complaint
        for source in SOURCES
        if source.module not in DIALLERS and not source.for_tests
        for complaint in dials(source)
    ]
    assert not found, "send it by ports.Transport, which is guarded:\n" + "\n".join(found)


@pytest.mark.parametrize("module", DIALLERS)
def test_every_exception_is_one(module: str) -> None:
    [source] = [each for each in SOURCES if each.module == module]
    assert list(dials(source)), f"{module} dials no more: take it off the list"


def test_nothing_that_is_served_is_unpacked() -> None:
    """A layer may be a bomb; it is for whoever opens it, and a node never does."""
    found = [
        complaint
        for source in SOURCES
        if source.module not in UNPACKING and not source.for_tests
        for complaint in unpacks(source)
    ]
    assert not found, "\n".join(found)
    assert all(any(s.module == each for s in SOURCES) for each in UNPACKING)
