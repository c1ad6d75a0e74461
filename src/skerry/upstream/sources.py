"""Where content may be had, as configured.

Owns the values. Never dials; which of them is in trouble is `gate`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from skerry.upstream.core.guard import host_of, place_of
from skerry.upstream.ports import Dial, Fetch


class SourceKind(StrEnum):
    """How near a source is, and what may be asked of it."""

    SIBLING = "sibling"
    REGION = "region"
    ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class Source:
    """One place on the network that answers for an upstream.

    Attributes:
        name: unique in its upstream; used as a metric label.
        url: scheme, host and port, with a base path if need be; no userinfo.
        prefix: put between `url` and a request's path; with `rewrite`, left to that.
        username, password: for Basic and for the token service; None for anonymous.
        realms: token services that may be given the credentials besides the source's own host:
            scheme, host, port and path prefix, e.g. `https://auth.docker.io/token`.
        redirect_hosts: hosts that redirects may lead to although they resolve to inside addresses;
            with a port, at that port alone.
        dial: timeouts, CA, proxy; `private_hosts` is completed here.
        requests_per_minute: 0 for no limit.
        bytes_per_second: over all bodies together; 0 for no limit.
        rewrite: turns a request into this source's own path form.
    """

    name: str
    url: str
    kind: SourceKind = SourceKind.ORIGIN
    prefix: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    realms: tuple[str, ...] = ()
    redirect_hosts: tuple[str, ...] = ()
    dial: Dial = field(default_factory=Dial)
    requests_per_minute: int = 0
    bytes_per_second: int = 0
    rewrite: Callable[[Fetch], Fetch] | None = None

    @property
    def host(self) -> str:
        """The host alone, in lower case."""
        return host_of(self.url)

    @property
    def content_dial(self) -> Dial:
        """How to reach the source and what it redirects to."""
        return self._dial(self.redirect_hosts)

    @property
    def token_dial(self) -> Dial:
        """How to reach its token service: a pool of its own, and no redirect host is let in."""
        return self._dial(self.realms)

    def _dial(self, configured: tuple[str, ...]) -> Dial:
        hosts = {place_of(self.url), *map(place_of, configured)} - {""}
        return replace(self.dial, private_hosts=self.dial.private_hosts | hosts)

    def locate(self, fetch: Fetch) -> tuple[str, Fetch]:
        """The URL of a request at this source, and the request in the source's own form."""
        own = self.rewrite(fetch) if self.rewrite else fetch
        prefix = "" if self.rewrite else self.prefix.rstrip("/")
        query = f"?{own.query}" if own.query else ""
        return f"{self.url.rstrip('/')}{prefix}{own.path}{query}", own


@dataclass(frozen=True, slots=True)
class Upstream:
    """One authority that content is named after, and the sources that answer for it in order.

    Attributes:
        name: e.g. `docker.io`.
        aliases: other names clients use for it.
        bare_names: whether names without a host mean this upstream.
        private: whether pulling from here takes this node's own credentials.
    """

    name: str
    sources: tuple[Source, ...]
    aliases: tuple[str, ...] = ()
    bare_names: bool = False
    private: bool = False
