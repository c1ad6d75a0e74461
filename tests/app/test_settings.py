"""Settings: what a file, the environment and flags become, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from skerry.app.settings.addresses import split_address
from skerry.app.settings.checks.between import read_password, warnings
from skerry.app.settings.errors import SettingsError, shown
from skerry.app.settings.load import Machine, load
from skerry.app.settings.render import to_plain, to_toml, unit_of, write_duration, write_size
from skerry.app.settings.schema import DEFAULT_UPSTREAMS, Settings, SourceSettings

MACHINE = Machine(host_name="edge-1", user_id=1000, home=Path("/home/op"))
DOCS = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "skerry.toml"


def read(
    path: Path | None = None,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Settings:
    return load(path, env or {}, overrides or {}, machine=MACHINE)


def refused(path: Path, text: str) -> SettingsError:
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read(path)
    return caught.value


def only(path: Path, text: str) -> tuple[str, str, str]:
    error = refused(path, text)
    assert len(error.problems) == 1, str(error)
    problem = error.problems[0]
    assert problem.reason
    assert problem.next_step
    return problem.field, problem.value, problem.reason


def test_no_configuration_at_all_is_a_working_node() -> None:
    settings = read()
    assert settings.node.name == "edge-1"
    assert settings.node.data_dir == "/home/op/.local/share/skerry"
    assert [upstream.name for upstream in settings.upstreams][:2] == ["docker.io", "ghcr.io"]
    assert settings.upstreams[0].bare_names
    assert settings.upstreams[0].sources[0].realms == ("https://auth.docker.io/token",)


def test_root_keeps_its_data_in_var_lib() -> None:
    machine = Machine(host_name="a", user_id=0, home=Path("/root"))
    assert load(None, {}, {}, machine=machine).node.data_dir == "/var/lib/skerry"


def test_a_relative_xdg_data_home_is_ignored() -> None:
    assert read(env={"XDG_DATA_HOME": "/srv/d"}).node.data_dir == "/srv/d/skerry"
    assert read(env={"XDG_DATA_HOME": "d"}).node.data_dir == "/home/op/.local/share/skerry"


def test_the_environment_wins_over_the_file_and_flags_win_over_both(file: Path) -> None:
    file.write_text('[store]\nbudget = "1GiB"\nhigh_watermark = 0.9\n[node]\nname = "file"\n')
    env = {"SKERRY_STORE__BUDGET": "2GiB", "SKERRY_NODE__NAME": "env"}
    settings = read(file, env, {"node.name": "flag"})
    assert settings.store.budget_bytes == 2 << 30
    assert settings.store.high_watermark == 0.9
    assert settings.node.name == "flag"


def test_text_of_the_environment_becomes_what_its_setting_is() -> None:
    settings = read(
        env={
            "SKERRY_REGISTRY__SERVE_DELETED_TAGS": "false",
            "SKERRY_REGISTRY__ANSWER_WITHIN": "1500ms",
            "SKERRY_STORE__LOW_WATERMARK": "0.5",
            "SKERRY_DNS__SERVERS": "127.0.0.1:53, [::1]:53",
            "SKERRY_REGISTRY__LOCAL__NAMESPACES": "team/*",
        }
    )
    assert settings.registry.serve_deleted_tags is False
    assert settings.registry.answer_within_seconds == 1.5
    assert settings.store.low_watermark == 0.5
    assert settings.dns.servers == ("127.0.0.1:53", "[::1]:53")
    assert settings.registry.local.namespaces == ("team/*",)


def test_variables_that_a_platform_sets_for_a_service_called_skerry_are_not_settings() -> None:
    env = {"SKERRY_PORT": "tcp://10.0.0.1:5000", "SKERRY_SERVICE_HOST": "10.0.0.1"}
    assert read(env=env) == read()


def test_an_unknown_variable_of_ours_is_refused_by_name() -> None:
    with pytest.raises(SettingsError) as caught:
        read(env={"SKERRY_STORE__BUGDET": "1GiB"})
    assert caught.value.field == "store.bugdet"
    assert "did you mean budget?" in str(caught.value)
    assert "SKERRY_STORE__BUGDET" in str(caught.value)


def test_every_wrong_field_of_a_file_is_said_at_once(file: Path) -> None:
    text = '[store]\nbudget = "lots"\nhigh = 1\n[node]\nname = 7\n[registry]\ncompanions = "yes"\n'
    fields = [problem.field for problem in refused(file, text).problems]
    assert sorted(fields) == ["node.name", "registry.companions", "store.budget", "store.high"]


def test_listed_upstreams_replace_the_defaults(file: Path) -> None:
    file.write_text('[[upstream]]\nname = "quay.io"\n[[upstream]]\nname = "r.lan:5000"\n')
    settings = read(file)
    assert [upstream.name for upstream in settings.upstreams] == ["quay.io", "r.lan:5000"]
    assert settings.upstreams[0].sources[0].realms == ("https://quay.io/v2/auth",)
    assert settings.upstreams[1].sources[0].url == "https://r.lan:5000"


def test_paths_of_a_file_are_meant_beside_it(file: Path) -> None:
    anybody = next(Path("/etc/ssl/certs").glob("*.pem"))
    (file.parent / "ca.pem").write_bytes(anybody.read_bytes())
    file.write_text(
        '[[upstream]]\nname = "r.lan"\n[[upstream.source]]\nurl = "https://r.lan/"\n'
        'ca_file = "ca.pem"\n'
    )
    source = read(file).upstreams[0].sources[0]
    assert source.ca_file == str(file.parent / "ca.pem")
    assert source.url == "https://r.lan"
    assert source.name == "r.lan"


def test_a_file_that_holds_no_certificate_is_refused_before_the_start(file: Path) -> None:
    (file.parent / "ca.pem").write_text("x")
    file.write_text(
        '[doors]\ncert_file = "ca.pem"\nkey_file = "ca.pem"\n'
        '[[upstream]]\nname = "r.lan"\n[[upstream.source]]\nurl = "https://r.lan"\n'
        'ca_file = "ca.pem"\n'
    )
    with pytest.raises(SettingsError) as refused:
        read(file)
    found = {problem.field: problem.reason for problem in refused.value.problems}
    assert found["upstream[0].source[0].ca_file"] == "holds no certificate"
    assert "are no pair" in found["doors.cert_file"]


SOURCE = '[[upstream]]\nname = "r.lan"\n[[upstream.source]]\n'


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ("[stroe]\n", "stroe", "no such setting"),
        ("[store]\nbudget = true\n", "store.budget", "not a size"),
        ("[store]\nlow_watermark = 0.96\n", "store.low_watermark", "below high_watermark"),
        ("[store]\nhigh_watermark = 1.5\n", "store.high_watermark", "share"),
        ("[prewarm]\nshare_beside_visitors = 0\n", "prewarm.share_beside_visitors", "share"),
        ('[doors]\nregistry = "5000"\n', "doors.registry", "address"),
        ('[doors]\nadmin = "127.0.0.1:5000"\n', "doors.admin", "other door"),
        ('[doors]\nadmin = "0.0.0.0:5000"\n', "doors.admin", "other door"),
        ('[doors]\nregistry = "127.0.0.1:70000"\n', "doors.registry", "address"),
        ("[registry.local]\nenabled = true\n", "registry.users_file", "pushing takes"),
        ('[[upstream]]\nname = "a.io"\nprivate = true\n', "registry.users_file", "private"),
        ('[registry]\nusers_file = "/nope"\n', "registry.users_file", "no such file"),
        ('[[upstream]]\nname = "a"\n', "upstream[0].name", "registry host"),
        ('[[upstream]]\naliases = ["a.io"]\n', "upstream[0].name", "missing"),
        (
            '[[upstream]]\nname = "a.io"\n[[upstream]]\nname = "b.io"\naliases = ["a.io"]\n',
            "upstream[1].aliases[0]",
            "already belongs to upstream a.io",
        ),
        (
            '[[upstream]]\nname = "a.io"\nbare_names = true\n'
            '[[upstream]]\nname = "b.io"\nbare_names = true\n',
            "upstream[1].bare_names",
            "has the bare names",
        ),
        (SOURCE + 'url = "http://r.lan"\n', "upstream[0].source[0].url", "not encrypted"),
        (SOURCE + 'url = "https://r.lan/v2"\n', "upstream[0].source[0].url", "a path"),
        (SOURCE + 'url = "https://r.lan?a=1"\n', "upstream[0].source[0].url", "query"),
        (SOURCE + 'url = "ftp://r.lan"\n', "upstream[0].source[0].url", "http or https"),
        (
            SOURCE + 'url = "https://r.lan"\nrealms = ["http://r.lan/token"]\n',
            "upstream[0].source[0].realms[0]",
            "not encrypted",
        ),
        (
            SOURCE + 'url = "https://r.lan"\nusername = "u"\n',
            "upstream[0].source[0].password_file",
            "together",
        ),
        (
            SOURCE + 'url = "https://r.lan"\nkind = "peer"\n',
            "upstream[0].source[0].kind",
            "no kind",
        ),
        (
            SOURCE + 'url = "https://r.lan"\nstall = "0s"\n',
            "upstream[0].source[0].stall",
            "out of bounds",
        ),
        (
            SOURCE + 'url = "https://r.lan"\n[[upstream.source]]\nurl = "http://b.lan"\n',
            "upstream[0].source[1].url",
            "not encrypted",
        ),
        ('[[sibling]]\nurl = "http://n2:5000"\n', "sibling[0].url", "not encrypted"),
        ('[dns]\nservers = ["9.9.9.9"]\n', "dns.servers[0]", "address"),
        ('[doors]\ncert_file = "CERT"\n', "doors.key_file", "together"),
        (
            '[[registry.tag_window]]\npattern = "a/b"\nwindow = "1m"\n',
            "registry.tag_window[0].pattern",
            "no tag",
        ),
    ],
)
def test_a_wrong_setting_is_refused_with_its_field_and_reason(
    file: Path, text: str, field: str, reason: str
) -> None:
    (file.parent / "cert.pem").write_text("x")
    found_field, _, found_reason = only(file, text.replace("CERT", str(file.parent / "cert.pem")))
    assert (found_field, reason in found_reason) == (field, True), found_reason


def test_a_price_sheet_is_read_to_its_end_or_not_at_all(file: Path) -> None:
    sheet = file.parent / "prices.toml"
    good = (
        '[[price]]\nmeter = "egress"\nprice = "1"\nunit = "GB"\nperiod = "use"\n'
        'currency = "EUR"\nvalid_from = 2026-01-01\n'
    )
    text = f'[budget]\nprices_file = "{sheet}"\n'
    sheet.write_text(good + "[[price]]\n")
    field, _, reason = only(file, text)
    assert (field, "unit is missing" in reason or "meter is missing" in reason) == (
        "budget.prices_file",
        True,
    )
    sheet.write_text(good + "# much to say\n" * 80_000 + "[[price]]\n")
    field, _, reason = only(file, text)
    assert (field, "over 1 MiB" in reason) == ("budget.prices_file", True), reason


def test_how_long_a_token_holds_is_no_secret() -> None:
    assert shown("access.token", "5 parsecs") == '"5 parsecs"'
    assert shown("upstream[0].source[0].token", "abc") == "***"


def test_secrets_in_a_wrong_setting_are_masked(file: Path) -> None:
    text = SOURCE + 'url = "https://joe:hunter2@r.lan"\npassword = "hunter2"\n'
    error = refused(file, text)
    assert "hunter2" not in str(error)
    text = SOURCE + 'url = "https://joe:hunter2@r.lan"\n'
    assert only(file, text)[1] == '"https://***@r.lan"'


def test_a_file_that_is_no_toml_is_one_error_with_the_line(file: Path) -> None:
    error = refused(file, "[store\n")
    assert "line 1" in str(error)
    assert str(file) in str(error)


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        read(tmp_path / "none.toml")


def test_what_is_shown_can_be_read_back(file: Path) -> None:
    settings = read(overrides={"store.budget": "1500MiB", "registry.answer_within": "250ms"})
    file.write_text(to_toml(settings))
    assert read(file) == settings
    assert to_plain(settings)["store"] == {
        "budget": "1500MiB",
        "high_watermark": 0.95,
        "low_watermark": 0.85,
        "object_share_max": 0.5,
        "scrub_period": "1w",
        "scrub_bytes_per_second": "32MiB",
    }


def test_a_proxy_password_is_never_shown(file: Path) -> None:
    file.write_text(SOURCE + 'url = "https://r.lan"\nproxy = "http://u:hunter2@proxy:3128"\n')
    settings = read(file)
    assert settings.upstreams[0].sources[0].proxy == "http://u:hunter2@proxy:3128"
    assert "hunter2" not in to_toml(settings) + str(to_plain(settings))


def test_an_address_whose_path_lets_one_in_is_shown_without_it(file: Path) -> None:
    hook = '[[alarms.webhook]]\nurl = "https://hooks.example.org/services/T0/hunter2"\n'
    otlp = '[telemetry.otlp]\nurl = "https://otlp.example.org/hunter2"\n'
    file.write_text(hook + otlp)
    settings = read(file)
    assert settings.alarms.webhooks[0].url.endswith("/hunter2")
    assert settings.alarms.webhooks[0].called == "hooks.example.org:443"
    shown = to_toml(settings) + str(to_plain(settings))
    assert "hunter2" not in shown
    assert shown.count("https://hooks.example.org/***") == 2
    file.write_text(hook.replace("https", "http"))
    with pytest.raises(SettingsError) as refused:
        read(file)
    assert "hunter2" not in str(refused.value)


def test_units_are_written_without_rounding() -> None:
    assert [write_duration(s) for s in (0.25, 1.5, 60, 90, 604800)] == [
        "250ms", "1500ms", "1m", "90s", "1w",
    ]  # fmt: skip
    assert [write_size(n) for n in (0, 1000, 1024, 32 << 20)] == ["0B", "1000B", "1KiB", "32MiB"]


def test_a_password_loses_one_line_end_and_nothing_else(tmp_path: Path) -> None:
    secret = tmp_path / "p"
    secret.write_text(" hunter2 \n")
    source = SourceSettings(url="https://r.lan", username="u", password_file=str(secret))
    assert read_password(source) == " hunter2 "


def test_a_password_file_that_others_may_read_is_warned_about(file: Path) -> None:
    secret = file.parent / "p"
    secret.write_text("x")
    file.write_text(SOURCE + 'url = "https://r.lan"\nusername = "u"\npassword_file = "p"\n')
    secret.chmod(0o644)
    assert any("chmod 600" in warning for warning in warnings(read(file)))
    secret.chmod(0o600)
    assert warnings(read(file)) == ()


def test_addresses_split_into_host_and_port() -> None:
    assert split_address("127.0.0.1:5000") == ("127.0.0.1", 5000)
    assert split_address("[::1]:0") == ("::1", 0)
    for wrong in ("5000", ":5000", "::1:5000", "a:", "a:b", "a:99999"):
        with pytest.raises(ValueError, match=r"."):
            split_address(wrong)


def test_the_embedded_upstreams_pass_their_own_checks() -> None:
    assert read().upstreams == DEFAULT_UPSTREAMS


def structs(kind: type[msgspec.Struct], at: str) -> list[tuple[str, str, str]]:
    """(section, field, default as written) of every scalar setting."""
    found = []
    for field in msgspec.structs.fields(kind):
        name = f"{at}.{field.encode_name}" if at else field.encode_name
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            found += structs(inner, name)
            continue
        args = getattr(inner, "__args__", ())
        if args and isinstance(args[0], type) and issubclass(args[0], msgspec.Struct):
            found += structs(args[0], name)
            continue
        if field.required:
            default = "required"
        elif field.default is None:
            default = '""' if unit_of(inner).endswith("-or-empty") else "unset"
        elif unit_of(inner) == "duration":
            default = f'"{write_duration(field.default)}"'
        elif unit_of(inner).startswith("size"):
            default = f'"{write_size(field.default)}"' if field.default else "0"
        else:
            default = msgspec.json.encode(field.default).decode()
        found.append((at, field.encode_name, default))
    return found


def test_every_setting_is_documented_with_its_default() -> None:
    documented: set[tuple[str, str, str]] = set()
    section = ""
    for line in DOCS.read_text().splitlines():
        if heading := re.match(r"## `\[+([a-z._]+)\]+`", line):
            section = heading[1]
        if row := re.match(r"\| `([a-z_]+)` \| ([^|]+) \| `([^|]+)` \| (.+) \|$", line):
            documented.add((section, row[1], row[3]))
    assert documented == set(structs(Settings, ""))


def test_a_kind_that_nothing_has_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "skerry.toml"
    file.write_text('[horizon]\nquiet = ["jwks", "tides"]\n')
    with pytest.raises(SettingsError, match="tls_certificate"):
        load(file, {}, {}, machine=MACHINE)


@pytest.mark.parametrize("users", [b"ann:$apr1$x$y\n", b"ann\n", b"\xff\xfe"])
def test_a_users_file_that_a_start_would_refuse_is_refused_by_the_check(
    file: Path, users: bytes
) -> None:
    file.with_name("users").write_bytes(users)
    [problem] = refused(file, '[registry]\nusers_file = "users"\n').problems
    assert problem.field == "registry.users_file"
    assert "skerry users add" in problem.next_step
    assert "apr1" not in str(problem)
