"""The commands about the node itself: run it, check its settings, see how it is."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import platform
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from skerry import __version__
from skerry.app.settings.addresses import split_address
from skerry.app.settings.checks.between import warnings
from skerry.app.settings.errors import SettingsError
from skerry.app.settings.load import load, settings_file
from skerry.app.settings.render import to_plain, to_toml
from skerry.app.settings.schema import Settings
from skerry.app.telemetry.drills_file import DrillsFile
from skerry.base.errors import Party, SkerryError
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, Overrides, connect, overrides_of
from skerry.cli.screen import Exit, err, out, plain, print_json
from skerry.telemetry.log_lines import LogFormat, log_to_stderr

_log = logging.getLogger("skerry.node")

COLLECT_EVERY_COUNT = 10_000
"""Objects made and not freed between two looks of the collector; Python says 700."""


class CannotStart(SkerryError):
    """The settings are good, the machine is not ready: the same start may succeed later.

    Its exit code is not that of wrong settings, so that a supervisor tries again: after a power
    cut an address or a disk may come a minute late.
    """

    party = Party.NODE


class Reloaded(msgspec.Struct, frozen=True):
    """The answer of POST /api/v1/reload: sites by name, settings that wait for a restart, and why
    a root was not taken."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    certificates: bool = False
    restart: tuple[str, ...] = ()
    root: str = ""
    root_refused: tuple[str, ...] = ()
    users_added: tuple[str, ...] = ()
    users_changed: tuple[str, ...] = ()
    users_removed: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()


def up(
    config: Config = None,
    data_dir: DataDir = None,
    registry: Annotated[
        str | None, typer.Option(metavar="ADDR", help="Registry door, e.g. 0.0.0.0:5000.")
    ] = None,
    edge: Annotated[
        str | None, typer.Option(metavar="ADDR", help="Edge door, if there is a site.")
    ] = None,
    admin: Annotated[str | None, typer.Option(metavar="ADDR", help="Admin door.")] = None,
    overrides: Overrides = None,
) -> None:
    """Run a node; with no settings at all it works."""
    chosen = overrides_of(overrides)
    named = {"node.data_dir": data_dir, "doors.registry": registry}
    named |= {"doors.edge": edge, "doors.admin": admin}
    chosen |= {name: str(value) for name, value in named.items() if value is not None}
    reread = partial(load, config, os.environ, chosen)
    settings = reread()
    for warning in warnings(settings):
        err().print(f"[yellow]note:[/] {plain(warning)}")
    import uvloop

    log = settings.log
    try:
        with log_to_stderr(LogFormat(log.format), log.level, requests=log.requests):
            check_doors_free(settings)
            uvloop.run(_serve(settings, reread))
    except SettingsError:
        raise
    except SkerryError as error:
        raise CannotStart(error.what, next_step=error.next_step) from error


async def _serve(settings: Settings, reread: Callable[[], Settings]) -> None:
    """Runs the node until SIGTERM or SIGINT; SIGHUP has it read its settings again."""
    # The node's rooms take longer to load than all the rest: other commands need not wait.
    from skerry.app.node import DRAIN_SECONDS, Node

    stopping = asyncio.Event()
    # Whoever started us may have held them back, and we inherit that.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    node = Node(settings, reread=reread)
    # Before the start: unheard, it would end the process.
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, node.reload_soon)
    await node.start()
    _spare_the_collector()
    try:
        ports = {
            "registry": node.registry_port,
            "edge": node.edge_port,
            "edge_tls": node.edge_tls_port,
            "admin": node.admin_port,
        }
        greet(settings, ports)
        await stopping.wait()
        sending = node.registry_door.statistics().sending if node.registry_door else 0
        _log.info("stopping: %d answers are on their way, for %g s", sending, DRAIN_SECONDS)
    finally:
        await node.stop()
    _log.info("stopped")


def _spare_the_collector() -> None:
    """Lets the cyclic collector look less often, and never again at what a node loads once.

    Next to nothing of a request is a cycle, and the collector looked for them 30 times a miss.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY_COUNT, *gc.get_threshold()[1:])


def check_doors_free(settings: Settings) -> None:
    """Raises CannotStart when a door cannot be opened here and now."""
    problems: list[str] = []
    names = ("registry", "edge", "edge_tls", "admin") if settings.sites else ("registry", "admin")
    for name in names:
        address: str = getattr(settings.doors, name)
        if not address:
            continue
        host, port = split_address(address)
        try:
            family, kind, _, _, place = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
        except OSError as error:
            reason, step = _door_trouble(error, name)
            problems.append(f"doors.{name} = {address}: {reason}; {step}")
    if problems:
        raise CannotStart("\n".join(problems))


def _door_trouble(error: OSError, name: str) -> tuple[str, str]:
    if error.errno == errno.EADDRINUSE:
        step = f"stop what listens there, or choose another with --set doors.{name}=ADDR"
        return "the port is taken by another program", step
    if error.errno == errno.EACCES:
        return "this user may not listen there", "choose a port from 1024 on"
    return "this machine has no such address", "write an address of this machine, or 0.0.0.0"


def greet(settings: Settings, ports: Mapping[str, int]) -> None:
    """The node's doors, as they were opened at these ports, and what to do next."""
    registry = _door(settings.doors.registry, ports["registry"])
    scheme = "https" if settings.doors.cert_file else "http"
    say = out().print
    say(f"[bold]skerry {__version__}[/], node {plain(settings.node.name)}")
    say(f"  registry  {scheme}://{registry}")
    if settings.sites:
        names = plain(", ".join(site.name for site in settings.sites))
        for scheme, door in (("http", "edge"), ("https", "edge_tls")):
            if address := getattr(settings.doors, door):
                say(f"  edge      {scheme}://{_door(address, ports[door])}  ({names})")
    admin = _door(settings.doors.admin, ports["admin"])
    say(f"  admin     http://{admin}  (health, metrics, API)")
    say(f"  data      {plain(settings.node.data_dir)}")
    say(f"  upstreams {plain(', '.join(upstream.name for upstream in settings.upstreams))}")
    name = settings.upstreams[0].name if settings.upstreams else "local"
    image = "library/alpine" if name == "docker.io" else "IMAGE"
    say(f"next: pull through it:  podman pull --tls-verify=false {plain(registry)}/{name}/{image}")
    say("      for every pull:   skerry clients podman   (or containerd, docker)")
    say("      see it hold:      skerry drill")
    sys.stdout.flush()  # whoever started us may be waiting for these lines in a pipe


def _door(address: str, port: int) -> str:
    """A door as it is reached from this machine."""
    host, _ = split_address(address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reload(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Have a node read its settings again; ends no connection."""
    done = connect(node, config, data_dir).post("/api/v1/reload", {}, Reloaded)
    if as_json:
        print_json(done)
        return
    for what in ("added", "changed", "removed"):
        for name in getattr(done, what):
            out().print(f"{what}: site {plain(name)}")
    for what in ("added", "changed", "removed"):
        for name in getattr(done, f"users_{what}"):
            out().print(f"{what}: user {plain(name)}")
    if done.certificates:
        out().print("changed: certificates")
    for price in done.prices:
        out().print(f"price: {plain(price)}")
    if done.root:
        out().print(f"taken: {plain(done.root)}")
    for why in done.root_refused:
        err().print(f"[yellow]the root is not taken:[/] {plain(why)}")
    if done == Reloaded(restart=done.restart, root_refused=done.root_refused):
        out().print("nothing has changed that a running node takes")
    for name in done.restart:
        err().print(f"[yellow]note:[/] {plain(name)} waits for a restart")


def config_check(
    config: Config = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Say whether a node would start with these settings; touches nothing."""
    file = settings_file(config, os.environ)
    try:
        settings = load(config, os.environ, overrides_of(overrides))
    except SettingsError as error:
        if as_json:
            print_json({"valid": False, "file": file and str(file), "problems": error.problems})
            raise typer.Exit(Exit.BAD_INPUT) from error
        raise
    notes = warnings(settings)
    if as_json:
        print_json({"valid": True, "file": file and str(file), "problems": [], "warnings": notes})
        return
    for warning in notes:
        err().print(f"[yellow]note:[/] {plain(warning)}")
    out().print(f"{plain(file or 'embedded defaults')}: good")


def config_show(
    config: Config = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Print the settings that hold in the end, secrets masked."""
    settings = load(config, os.environ, overrides_of(overrides))
    if as_json:
        print_json(to_plain(settings))
    else:
        out().print(plain_lines(to_toml(settings)), end="")


def plain_lines(text: str) -> str:
    """Several lines of others' text."""
    return "".join(f"{plain(line)}\n" for line in text.splitlines())


def drill(
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where its throw-away nodes live.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the data for a look.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Cut a throw-away region off and see what goes on working. Needs no network.

    What it found out is put beside the data of the node of this machine, for skerry incidents.
    """
    from skerry.app.drill.run import run

    record = drills_of_this_node(config)
    raise typer.Exit(run(data_dir=data_dir, keep=keep, json_output=as_json, record=record))


def drills_of_this_node(config: Path | None) -> DrillsFile | None:
    """Where the node of this machine looks for what drills found out; None without one."""
    try:
        folder = load(config, os.environ, {}, only="node.data_dir").node.data_path
    except SettingsError:
        return None  # a drill needs no node, nor that its settings are right
    return DrillsFile(folder) if folder.is_dir() else None


def version(as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"skerry": __version__, "python": platform.python_version()})
    else:
        out().print(f"skerry {__version__}")
