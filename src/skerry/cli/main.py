"""The `skerry` command: its subcommands, and the one place where errors become exit codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import typer
from typer.core import TyperGroup

from skerry.base.errors import SkerryError
from skerry.cli import (
    budget,
    bundles,
    clients,
    domain,
    edge,
    glass,
    horizon,
    images,
    init,
    keys,
    names,
    node,
    outcomes,
    prewarm,
    reports,
    root,
    status,
    telemetry,
    tokens,
    top,
    trial,
    trust,
    users,
    vault,
)
from skerry.cli.screen import Exit, code_of, err, say_error

RUN, CONTENT, SITES, CLIENTS = "The node", "Images", "Sites", "Clients"
TRUST = "Trust"
MONEY = "Money"
NODE_COMMANDS: Mapping[str, Callable[..., None]] = {
    "init": init.init,
    "up": node.up,
    "drill": node.drill,
    "status": status.status,
    "top": top.top,
    "reload": node.reload,
    "events": telemetry.events,
    "incidents": telemetry.incidents,
    "horizon": horizon.horizon,
    "version": node.version,
}
IMAGE_COMMANDS: Mapping[str, Callable[..., None]] = {
    "warm": images.warm,
    "ls": images.ls,
    "pin": images.pin,
    "unpin": images.unpin,
    "rm": images.rm,
    "export": images.export,
    "import": images.import_,
    "scrub": images.scrub,
    "evict": images.evict,
    "verify": trust.verify,
    "sign": trust.sign,
}


class SkerryGroup(TyperGroup):
    """Turns an expected failure into one message and its exit code."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except SkerryError as error:
            say_error(error, ctx)
            raise typer.Exit(code_of(error)) from error
        except BrokenPipeError as error:
            raise typer.Exit(Exit.FAILED) from error
        except KeyboardInterrupt as error:
            err().print("stopped")
            raise typer.Exit(130) from error


def make_app() -> typer.Typer:
    """The command line, ready to run."""
    app = typer.Typer(
        cls=SkerryGroup,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Keeps images pullable and sites up when everything upstream is gone.",
        epilog="Exit codes: 0 good, 1 the operation failed or a promise broke, "
        "2 wrong input or settings, 3 no node answers.",
    )
    config = typer.Typer(no_args_is_help=True, help="Check or show the settings.")
    config.command("check")(node.config_check)
    config.command("show")(node.config_show)

    for name, command in NODE_COMMANDS.items():
        app.command(name, rich_help_panel=RUN)(command)
    app.add_typer(config, name="config", rich_help_panel=RUN)
    app.add_typer(telemetry.make_slo(), name="slo", rich_help_panel=RUN)
    app.add_typer(bundles.make_bundle(), name="bundle", rich_help_panel=RUN)
    app.add_typer(domain.make_domain(), name="domain", rich_help_panel=RUN)
    app.add_typer(names.make_names(), name="names", rich_help_panel=RUN)
    for name, command in IMAGE_COMMANDS.items():
        app.command(name, rich_help_panel=CONTENT)(command)
    app.command("costs", rich_help_panel=MONEY)(budget.costs)
    app.command("report", rich_help_panel=MONEY)(reports.report)
    app.command("baseline", rich_help_panel=MONEY)(reports.baseline)
    app.add_typer(trial.make_budget(), name="budget", rich_help_panel=MONEY)
    app.add_typer(budget.make_ledger(), name="ledger", rich_help_panel=MONEY)
    app.add_typer(outcomes.make_outcomes(), name="outcomes", rich_help_panel=MONEY)
    app.add_typer(reports.make_alarms(), name="alarms", rich_help_panel=MONEY)
    app.command("prewarm", rich_help_panel=SITES)(prewarm.prewarm)
    app.add_typer(keys.make_keys(), name="keys", rich_help_panel=TRUST)
    app.command("break-glass", rich_help_panel=TRUST)(glass.break_glass)
    app.command("audit", rich_help_panel=TRUST)(glass.audit)
    app.add_typer(root.make_root(), name="root", rich_help_panel=TRUST)
    app.command("purge", rich_help_panel=SITES)(edge.purge)
    app.add_typer(edge.make_receipt(), name="receipt", rich_help_panel=SITES)
    app.add_typer(vault.make_vault(), name="vault", rich_help_panel=SITES)
    app.add_typer(users.make_users(), name="users", rich_help_panel=TRUST)
    app.add_typer(tokens.make_robots(), name="robots", rich_help_panel=TRUST)
    app.add_typer(tokens.make_tokens(), name="tokens", rich_help_panel=TRUST)
    app.add_typer(clients.make_clients(), name="clients", rich_help_panel=CLIENTS)
    return app


def main() -> None:
    """Entry point."""
    make_app()()
