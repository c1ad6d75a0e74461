"""Sites and routes in the settings: what they become, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.app.settings.checks.between import warnings
from skerry.app.settings.errors import SettingsError
from skerry.app.settings.load import load
from skerry.app.settings.render import to_toml
from skerry.app.settings.schema import RouteSettings, Settings

SITE = '[[site]]\nhosts = ["www.example.org"]\norigins = ["https://10.0.0.9"]\n'
PUBLIC = f'{SITE}[[site.route]]\ndata_class = "public"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "skerry.toml"


def read(file: Path, text: str) -> Settings:
    file.write_text(text)
    return load(file, {}, {})


def test_a_site_is_hosts_and_origins_and_stores_nothing_until_a_route_is_public(
    file: Path,
) -> None:
    settings = read(file, SITE)
    (site,) = settings.sites
    assert (site.name, site.origins) == ("www.example.org", ("https://10.0.0.9",))
    assert site.routes == (RouteSettings(prefix="/", data_class="sensitive"),)
    assert any("stores nothing" in note for note in warnings(settings))
    assert not warnings(read(file, PUBLIC))


def test_what_is_not_said_of_a_route_is_left_to_the_origin(file: Path) -> None:
    text = f'{SITE}[[site.route]]\nfresh = ""\nstale_if_error = "3d"\nquery = []\n'
    (route,) = read(file, text).sites[0].routes
    assert route.fresh_seconds is None
    assert route.stale_if_error_seconds == 3 * 86400
    assert route.query == ()
    assert RouteSettings().query is None


def test_sites_that_are_shown_can_be_read_back(file: Path) -> None:
    text = f'{PUBLIC}prefix = "/media/"\nfresh = "90s"\nquery = ["v"]\n[[site.route]]\n'
    settings = read(file, text)
    assert read(file, to_toml(settings)) == settings


def test_without_a_site_the_edge_door_may_share_any_address(file: Path) -> None:
    shared = '[doors]\nedge = "127.0.0.1:5000"\n'
    assert read(file, shared).sites == ()
    with pytest.raises(SettingsError, match=r"doors\.edge"):
        read(file, shared + SITE)


def test_cookies_that_are_left_out_of_stored_answers_are_warned_about(file: Path) -> None:
    notes = warnings(read(file, f"{PUBLIC}store_cookies = true\n"))
    assert any("cookies" in note for note in notes)


def site(line: str) -> str:
    """The site with one line in place of its own, or added."""
    name = line.partition(" ")[0]
    kept = [each for each in SITE.splitlines() if not each.startswith(name)]
    return "\n".join([*kept, line]) + "\n"


def route(line: str) -> str:
    return f"{SITE}[[site.route]]\n{line}\n"


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ('[[site]]\nhosts = ["a.example"]\n', "site[0].origins", "missing"),
        (site("hosts = []"), "site[0].hosts", "empty"),
        (site('hosts = ["http://a.example"]'), "site[0].hosts[0]", "not a host"),
        (site('hosts = ["a.example:80"]'), "site[0].hosts[0]", "not a host"),
        (site('hosts = ["a b"]'), "site[0].hosts[0]", "not a host"),
        (site('hosts = ["a.example", "A.EXAMPLE."]'), "site[0].hosts[1]", "already belongs"),
        (SITE + SITE, "site[1].hosts[0]", "already belongs to site www.example.org"),
        (site("origins = []"), "site[0].origins", "empty"),
        (site('origins = ["10.0.0.9"]'), "site[0].origins[0]", "not an http or https URL"),
        (site('origins = ["http://10.0.0.9"]'), "site[0].origins[0]", "not encrypted"),
        (site('origins = ["https://a/b"]'), "site[0].origins[0]", "must not have a path"),
        (site('origins = ["https://a", "https://a/"]'), "site[0].origins[1]", "twice"),
        (site('connect = "0s"'), "site[0].connect", "out of bounds"),
        (site("connections_max = 0"), "site[0].connections_max", "nothing through"),
        (site('ca_file = "gone.pem"'), "site[0].ca_file", "no such file"),
        (site("route = []"), "site[0].route", "empty"),
        (route('prefix = "media/"'), "site[0].route[0].prefix", "not a path"),
        (route('prefix = "/a/../b"'), "site[0].route[0].prefix", "not a path"),
        (route('prefix = "/a"\n[[site.route]]\nprefix = "//%61/"'),
         "site[0].route[1].prefix", "another route"),
        (route('data_class = "private"'), "site[0].route[0].data_class", "no class of data"),
        (route('fresh = "soon"'), "site[0].route[0].fresh", ""),
        (route("fresh = true"), "site[0].route[0].fresh", "not a duration"),
        (route('query = "v"'), "site[0].route[0].query", "not a list"),
        (route('query = ["v=1"]'), "site[0].route[0].query[0]", "not a query parameter"),
        (route('methods = ["get"]'), "site[0].route[0].methods[0]", "not a method"),
        (route('slice = "1KiB"'), "site[0].route[0].slice", "out of bounds"),
        (route("methods = []"), "site[0].route[0].methods", "nothing through"),
        (route('class = "public"'), "site[0].route[0].class", "no such setting"),
    ],
)  # fmt: skip
def test_a_wrong_site_is_refused_with_its_field_and_reason(
    file: Path, text: str, field: str, reason: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(file, text)
    (problem,) = caught.value.problems
    assert problem.field == field
    assert reason in problem.reason
    assert problem.next_step
