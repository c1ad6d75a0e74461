"""Who asked, as nginx behind the node reads it, also with nginx in front of the node."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from skerry.app.drill.processes import Setting
from tests.rig.pages import HOST, Seen, Visitor
from tests.rig.processes import Rig

PROXY = "127.0.0.3"
SAID = (
    "$http_x_forwarded_for|$http_x_forwarded_proto|$http_x_forwarded_host|$http_forwarded|"
    "$request_id"
)
LIES = (
    "-H", "X-Forwarded-For: 198.51.100.66, 127.0.0.3", "-H", "X-Real-IP: 198.51.100.66",
    "-H", "X-Forwarded-Proto: https", "-H", "X-Forwarded-Host: evil.example",
    "-H", "Forwarded: for=198.51.100.66;proto=https;host=evil.example",
)  # fmt: skip


@dataclass
class Line(Visitor):
    """curl, maybe nginx, the node, and nginx that says what it was told and whom it believes."""

    front: str

    def asked(self, path: str, source: str, *options: str, through: bool = False) -> list[str]:
        """What the origin saw: who asked as nginx's realip reads it, and the four fields."""
        seen = self.seen(path, source, *options, through=through)
        assert seen.status == 200
        return seen.body.decode().split("|")

    def seen(self, path: str, source: str, *options: str, through: bool) -> Seen:
        to = ["--connect-to", f"::{self.front}"] if through else []
        return self.curl(path, "--interface", source, *options, *to)


@pytest.fixture(scope="module")
def line(shared: Rig) -> Line:
    root = shared.place("www")
    origin = shared.nginx(
        root,
        f"set_real_ip_from 127.0.0.1; set_real_ip_from {PROXY};",
        "real_ip_header X-Forwarded-For; real_ip_recursive on;",
        f'location / {{ add_header Cache-Control max-age=60; return 200 "$remote_addr|{SAID}"; }}',
    )
    settings: dict[str, Setting] = {
        "doors": {"trusted_proxies": [PROXY]},
        "site": [
            {
                "hosts": [HOST],
                "origins": [origin.url],
                "plain_http": True,
                "route": [{"prefix": "/"}, {"prefix": "/public", "data_class": "public"}],
            }
        ],
    }
    node = shared.node(settings, name="rock")
    front = shared.nginx(
        root,
        f"location / {{ proxy_pass http://{node.edge}; proxy_bind {PROXY};",
        "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $http_x_as;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }",
    )
    return Line(shared, node, front.url.removeprefix("http://"))


def test_nginx_behind_the_node_believes_the_node_and_not_the_visitor(line: Line) -> None:
    authority = f"{HOST}:{line.node.edge.rpartition(':')[2]}"
    for lies in ((), LIES):
        client, chain, scheme, host, forwarded, _ = line.asked("/a", "127.0.0.2", *lies)
        assert (client, chain, scheme, host) == ("127.0.0.2", "127.0.0.2", "http", authority)
        assert forwarded == f'for=127.0.0.2;proto=http;host="{authority}"'


def test_a_chain_through_a_trusted_nginx_goes_on_and_the_visitors_own_words_do_not(
    line: Line,
) -> None:
    for lies in ((), LIES):
        as_https = ("-H", "X-As: https", *lies)
        seen = line.asked("/a", "127.0.0.2", *as_https, through=True)
        client, chain, scheme, _, forwarded, _ = seen
        assert (client, chain, scheme) == ("127.0.0.2", f"127.0.0.2, {PROXY}", "https")
        assert forwarded.startswith("for=127.0.0.2;proto=https;host=")
        assert forwarded.endswith(f", for={PROXY}")


def test_a_public_page_is_asked_for_in_nobodys_name_and_for_each_scheme_once(line: Line) -> None:
    authority = f"{HOST}:{line.node.edge.rpartition(':')[2]}"
    numbers: dict[str, set[str]] = {"https": set(), "http": set()}
    for scheme in ("https", "http", "https", "http"):
        for source in ("127.0.0.2", "127.0.0.4"):
            as_asked = ("-H", f"X-As: {scheme}", *LIES)
            for _ in range(3):  # in full, and from ready bytes
                seen = line.asked("/public/a", source, *as_asked, through=True)
                _, chain, told, host, forwarded, number = seen
                numbers[scheme].add(number)
                assert (chain, told, host) == ("", scheme, authority)
                assert forwarded == f'proto={scheme};host="{authority}"'
            line.node.wait_until_stored()
    assert [len(each) for each in numbers.values()] == [1, 1]
