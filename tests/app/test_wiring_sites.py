"""What a site in the settings becomes for the edge."""

from __future__ import annotations

from skerry.app.settings.schema import RouteSettings, Settings, SiteSettings
from skerry.app.wiring import servers_of, sites_of
from skerry.cdn.core.route import Matched, Unrouted, build
from skerry.cdn.ports import DataClass

SITE = SiteSettings(
    hosts=("www.example.org", "*.example.net"),
    origins=("https://10.0.0.9", "http://[2001:db8::9]:8080"),
    connect_seconds=0.5,
    connections_max=7,
    ca_file="/ca.pem",
    routes=(
        RouteSettings(),
        RouteSettings(
            prefix="/media/",
            data_class="public",
            fresh_seconds=60.0,
            stale_if_error_seconds=3.0,
            stale_while_revalidate_seconds=4.0,
            query=("v",),
            store_cookies=True,
            slice_bytes=None,
            methods=("GET", "POST"),
        ),
    ),
)


def matched(host: str, path: str, method: str = "GET") -> Matched:
    found = build(sites_of(Settings(sites=(SITE,)))).match(host=host, path=path, method=method)
    assert isinstance(found, Matched)
    return found


def test_every_word_of_a_route_reaches_the_edge() -> None:
    route = matched("a.example.net", "/media/film", "POST").route
    policy = route.policy
    assert route.origin == "www.example.org"
    assert policy.data_class is DataClass.PUBLIC
    assert policy.fresh_seconds == 60.0
    assert policy.stale_if_error_seconds == 3.0
    assert policy.stale_while_revalidate_seconds == 4.0
    assert policy.query_allow == ("v",)
    assert policy.store_cookies
    assert route.slice_bytes is None


def test_what_is_not_said_is_the_strictest() -> None:
    policy = matched("www.example.org", "/account").route.policy
    assert policy.data_class is DataClass.SENSITIVE
    assert policy.fresh_seconds is policy.stale_if_error_seconds is policy.query_allow is None
    assert not policy.store_cookies
    table = build(sites_of(Settings(sites=(SITE,))))
    assert isinstance(table.match(host="www.example.org", path="/", method="POST"), Unrouted)


def test_the_servers_of_a_site_keep_their_order_and_its_waits() -> None:
    first, second = servers_of(SITE, SITE.origins)
    assert [first.name, second.name] == ["10.0.0.9", "[2001:db8::9]:8080"]
    assert second.url == "http://[2001:db8::9]:8080"
    assert first.dial.connect_seconds == 0.5
    assert first.dial.connections_max == 7
    assert first.dial.ca_file == "/ca.pem"
    assert first.content_dial.private_hosts == {"10.0.0.9:443"}
