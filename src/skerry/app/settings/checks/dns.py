"""What must be true of [dns] before a node starts.

Owns its rules. Asks no name server whether it is there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from skerry.app.settings.addresses import split_address
from skerry.app.settings.dns import DnsSettings
from skerry.app.settings.errors import Problem
from skerry.app.settings.rules import READ_STEP, bundle_trouble, file_trouble, refused
from skerry.base.errors import BadInput
from skerry.trust.core.names.servers import TLS_PREFIX, read_server
from skerry.trust.core.pins import is_name

MODES = ("auto", "validate", "off")
STALE_SECONDS_MAX = 30 * 86400.0
ANCHOR_FILE_BYTES_MAX = 64 * 1024


def check_dns(dns: DnsSettings) -> Iterator[Problem]:
    """Every rule that is broken."""
    for index, server in enumerate(dns.servers):
        yield from _server(f"dns.servers[{index}]", server)
    yield from bundle_trouble("dns.ca_file", dns.ca_file)
    if dns.dnssec not in MODES:
        yield refused("dns.dnssec", dns.dnssec, "is no mode", f"write {', '.join(MODES)}")
    yield from _anchors(dns.trust_anchor_file)
    for index, name in enumerate(dns.private_names):
        yield from _name(f"dns.private_names[{index}]", name)
    if not 0 <= dns.stale_seconds <= STALE_SECONDS_MAX:
        step = "use 1d to 3d, at most 30d (RFC 8767 section 5)"
        yield refused("dns.stale", dns.stale_seconds, "is out of bounds", step)
    yield from _site(dns)


def _site(dns: DnsSettings) -> Iterator[Problem]:
    """The rules of the site's own resolver."""
    for index, listen in enumerate(dns.listen):
        try:
            ipaddress.ip_address(split_address(listen)[0])
        except ValueError:
            step = "write ip:port, e.g. 192.168.1.2:53"
            yield refused(f"dns.listen[{index}]", listen, "is no address to listen at", step)
        if listen in dns.servers:
            step = "name whom it shall ask instead"
            yield refused(f"dns.listen[{index}]", listen, "is one of dns.servers, too", step)
    for index, network in enumerate(dns.clients):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            step = "write one such as 192.168.0.0/16 or fd00::/8"
            yield refused(f"dns.clients[{index}]", network, "is no network", step)
    for index, local in enumerate(dns.local):
        at = f"dns.local[{index}]"
        yield from _name(f"{at}.name", local.name.removeprefix("*."))
        if not local.addresses:
            yield refused(f"{at}.addresses", "", "is empty", "name an address")
        for number, address in enumerate(local.addresses):
            try:
                ipaddress.ip_address(address)
            except ValueError:
                field = f"{at}.addresses[{number}]"
                yield refused(field, address, "is no address", "write 192.168.1.2 or fd00::2")


def anchors_text(path: str) -> str:
    """The trust anchors of a file. Raises OSError, BadInput."""
    with Path(path).open("rb") as file:
        data = file.read(ANCHOR_FILE_BYTES_MAX + 1)
    if len(data) > ANCHOR_FILE_BYTES_MAX:
        raise BadInput(f"it has more than {ANCHOR_FILE_BYTES_MAX} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadInput("it is no text") from error


def _server(field: str, server: str) -> Iterator[Problem]:
    plain = not server.startswith(TLS_PREFIX)
    try:
        read_server(server)
        if plain and not server.rpartition(":")[0].rstrip("]").lstrip("["):
            raise BadInput("without a port")
        if plain and server.count(":") > 1 and not server.startswith("["):
            raise BadInput("without brackets")
    except BadInput:
        step = (
            "write ip:port, e.g. 192.0.2.53:53 or [2001:db8::53]:53, or for TLS "
            "tls://name@ip: a resolver cannot look up its own name"
        )
        yield refused(field, server, "is not a name server's address", step)


def _name(field: str, name: str) -> Iterator[Problem]:
    if not is_name(name):
        yield refused(field, name, "is no name", "write a host or a domain, e.g. lan.example.org")


def _anchors(path: str) -> Iterator[Problem]:
    field = "dns.trust_anchor_file"
    problems = list(file_trouble(field, path))
    yield from problems
    if not path or problems:
        return
    # Late: dnspython, which no other setting takes.
    from skerry.trust.core.names.anchors import read_anchors

    try:
        read_anchors(anchors_text(path))
    except BadInput as error:
        yield refused(field, path, f"holds no trust anchors: {error.what}", error.next_step)
    except OSError:
        yield refused(field, path, "cannot be read", READ_STEP)
