"""The commands about who is known: robots, revocations, keys."""

from __future__ import annotations

import time
from typing import Annotated
from urllib.parse import quote

import typer
from rich.table import Table

from skerry.app.admin.tokens import Keys, Revoked, RobotGone, RobotList, RobotMade, RobotRow
from skerry.base.errors import BadInput
from skerry.base.units import format_seconds, parse_seconds
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.screen import ago, out, plain, print_json

ROBOTS, REVOCATIONS, KEYS = "/api/v1/robots", "/api/v1/revocations", "/api/v1/keys"
Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]


def make_robots() -> typer.Typer:
    """`skerry robots`."""
    app = typer.Typer(no_args_is_help=True, help="Programs that log in with a secret.")
    app.command("new")(robots_new)
    app.command("list")(robots_list)
    app.command("revoke")(robots_revoke)
    return app


def make_tokens() -> typer.Typer:
    """`skerry tokens`."""
    app = typer.Typer(no_args_is_help=True, help="The tokens that this node makes.")
    app.command("keys")(tokens_keys)
    app.command("rotate")(tokens_rotate)
    app.command("revoke")(tokens_revoke)
    return app


def robots_new(
    name: Name,
    repository: Annotated[
        list[str], typer.Option(metavar="PATTERN", help="What it is for; may be given again.")
    ],
    action: Annotated[
        list[str] | None, typer.Option(metavar="ACTION", help="pull, push or delete.")
    ] = None,
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="When it ends, e.g. 90d; never if left out.")
    ] = "",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a robot and show its secret, this once."""
    body: dict[str, object] = {
        "name": name,
        "repositories": repository,
        "actions": action or ["pull"],
        "lifetime_seconds": parse_seconds(expires) if expires else None,
    }
    made = connect(node, config, data_dir).post(ROBOTS, body, RobotMade)
    if as_json:
        print_json(made)
        return
    out().print(f"user     {plain(made.robot.login)}")
    out().print(f"password {plain(made.secret)}")
    out().print("Keep it now: it is not shown again.")


def robots_list(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """List the robots and what each may do."""
    found = connect(node, config, data_dir).get(ROBOTS, RobotList)
    if as_json:
        print_json(found)
        return
    table = Table("ROBOT", "REPOSITORIES", "ACTIONS", "MADE", "BY", "ENDS", box=None)
    for row in found.robots:
        table.add_row(
            plain(row.login),
            plain(" ".join(row.repositories)),
            " ".join(row.actions),
            ago(row.made_at, time.time()),
            plain(row.made_by),
            _ends(row),
        )
    out().print(table)


def robots_revoke(
    name: Name,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a robot's rights away, at once."""
    path = f"{ROBOTS}?name={quote(name.removeprefix('robot+'), safe='')}"
    gone = connect(node, config, data_dir).delete_at(path, RobotGone)
    if as_json:
        print_json(gone)
    else:
        out().print(f"{plain(gone.name)} is gone; what it held is believed no more")


def tokens_keys(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show the keys that tokens are signed with."""
    _show_keys(connect(node, config, data_dir).get(KEYS, Keys), as_json)


def tokens_rotate(
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Believe nothing made before: all log in anew.")
    ] = False,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Sign with the next key from now on; tokens in use go on being believed until they end."""
    body = {"compromised": compromised}
    _show_keys(connect(node, config, data_dir).post(KEYS, body, Keys), as_json)


def tokens_revoke(
    token_id: Annotated[
        str, typer.Option("--id", metavar="JTI", help="One token, by its jti.")
    ] = "",
    identity: Annotated[str, typer.Option(metavar="NAME", help="All of an identity.")] = "",
    group: Annotated[str, typer.Option(metavar="NAME", help="All of a group.")] = "",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Believe no more what was made for somebody up to now, refresh tokens and logins included."""
    if sum(map(bool, (token_id, identity, group))) != 1:
        raise BadInput("one of --id, --identity and --group is needed", next_step="give one")
    body: dict[str, object] = {
        "token_id": token_id or None,
        "identity": identity or None,
        "group": group or None,
    }
    gone = connect(node, config, data_dir).post(REVOCATIONS, body, Revoked)
    if as_json:
        print_json(gone)
    else:
        out().print(f"{gone.kind} {plain(gone.name)}: nothing made up to now is believed")


def _show_keys(found: Keys, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    out().print(f"tokens are for {plain(found.service)}")
    table = Table("KEY", "ALGORITHM", "PHASE", "SINCE", box=None)
    for row in found.keys:
        table.add_row(plain(row.kid), row.algorithm, row.phase, ago(row.since, time.time()))
    out().print(table)


def _ends(row: RobotRow) -> str:
    if row.expires_at is None:
        return "never"
    if row.expired:
        return "ended"
    return f"in {format_seconds(max(1.0, row.expires_at - time.time()))}"
