"""What must be true of [[dns.watch]] before a node starts, and the policies that it makes.

Owns its rules, and reads the key files that it names. Whether the signed state is believed is not
one of them: a node starts without it, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skerry.app.settings.dns import DnsSettings
from skerry.app.settings.errors import Problem
from skerry.app.settings.rules import READ_STEP, file_trouble, refused, url_trouble
from skerry.app.settings.watch import DomainWatchSettings
from skerry.base.errors import BadInput
from skerry.trust.core.domain_state import is_domain
from skerry.trust.core.keys import KEY_FILE_BYTES_MAX, parse_public_key
from skerry.trust.core.names.servers import read_server
from skerry.trust.core.threshold import BadPolicy, Format, Policy, TrustedKey, policy

WATCHES_MAX = 64
EVERY_SECONDS_MIN, EVERY_SECONDS_MAX = 0.1, 50.0
"""A change is told within 60 s: after one look, and one more that agrees with it."""
REGISTRAR_SECONDS_MIN = 3600.0


def check_watch(dns: DnsSettings) -> Iterator[Problem]:
    """Every rule that is broken, in the order of the file."""
    if not EVERY_SECONDS_MIN <= dns.watch_every_seconds <= EVERY_SECONDS_MAX:
        step = "use 10s to 50s: a change is told within a minute"
        yield refused("dns.watch_every", dns.watch_every_seconds, "is out of bounds", step)
    if dns.registrar_every_seconds < REGISTRAR_SECONDS_MIN:
        step = "use 1d: registrars bound how often they are asked"
        yield refused("dns.registrar_every", dns.registrar_every_seconds, "is under 1h", step)
    if len(dns.watch) > WATCHES_MAX:
        yield refused("dns.watch", "", f"has more than {WATCHES_MAX} domains", "watch fewer")
    names: set[str] = set()
    for index, each in enumerate(dns.watch):
        at = f"dns.watch[{index}]"
        if each.domain in names:
            yield refused(f"{at}.domain", each.domain, "is watched twice", "name it once")
        names.add(each.domain)
        yield from _watch(at, each)


def policy_of(watch: DomainWatchSettings) -> Policy:
    """Whose signatures a domain's state needs. Raises BadPolicy, BadInput, OSError."""
    return policy(
        watch.domain,
        threshold=watch.threshold,
        keys=[TrustedKey(parse_public_key(_read(key.file)), key.owner) for key in watch.keys],
        formats=[Format.BUNDLE],
    )


def _watch(at: str, each: DomainWatchSettings) -> Iterator[Problem]:
    if not is_domain(each.domain):
        step = "write it in lower case without a final dot, e.g. example.org"
        yield refused(f"{at}.domain", each.domain, "is no domain", step)
    for name, servers in (("parents", each.parents), ("servers", each.servers)):
        for number, server in enumerate(servers):
            try:
                if read_server(server).tls:
                    raise BadInput("authorities speak no TLS")
            except BadInput:
                step = "write ip or ip:port, e.g. 192.0.2.53"
                field = f"{at}.{name}[{number}]"
                yield refused(field, server, "is not a name server's address", step)
    if each.rdap:
        yield from url_trouble(f"{at}.rdap", each.rdap, plain_http=each.plain_http, path=True)
    problems = [
        problem
        for number, key in enumerate(each.keys)
        for problem in _key(f"{at}.key[{number}]", key.file)
    ]
    yield from problems
    if not problems:
        try:
            policy_of(each)
        except BadPolicy as error:
            reason = error.what.partition(": ")[2]
            yield refused(at, each.domain, reason, "change the threshold or the keys")
        except (BadInput, OSError) as error:
            yield refused(at, each.domain, f"a key cannot be read ({error})", READ_STEP)


def _key(at: str, file: str) -> Iterator[Problem]:
    missing = [*file_trouble(f"{at}.file", file)]
    yield from missing
    if not missing:
        try:
            parse_public_key(_read(file))
        except BadInput as error:
            yield refused(f"{at}.file", file, error.what, error.next_step or READ_STEP)
        except OSError:
            yield refused(f"{at}.file", file, "cannot be read", READ_STEP)


def _read(file: str) -> bytes:
    with Path(file).open("rb") as opened:
        return opened.read(KEY_FILE_BYTES_MAX + 1)
