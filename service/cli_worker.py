"""`evercrew worker` and `evercrew inbox`: running cycles as one of several processes, and the alerts that wait."""

from __future__ import annotations

import json
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import DependencyUnavailable
from service.cli_shape import Sender, text_of

if TYPE_CHECKING:
    from adapters.inbox.base import Turn
    from service.wiring import App

inbox = typer.Typer(no_args_is_help=True, help="Put alerts into the inbox of the workers, and see how it stands.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]


def worker(
    config: ConfigPath = None,
    slots: Annotated[int, typer.Option(min=1, max=64, help="Cycles worked on at once; those that wait need none.")] = 8,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End once the inbox is empty and no cycle is open.")
    ] = False,
) -> None:
    """Take alerts from the inbox and work their cycles, until SIGTERM.

    Several may run against one PostgreSQL, each with its own EVERCREW_EXECUTOR_ID. Ends with 3 when the others took
    this process for dead: start it again.
    """
    from service.cli import wired
    from service.worker import Worker

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    built = wired(config, slots=slots)
    try:
        running = Worker(built.engine, built.inbox, built.workflow, built.executor, built.clock, told=_told)
        typer.echo(f"worker {built.executor.lease.owner if built.executor else built.settings.executor_id} is ready")
        if until_idle:
            threading.Thread(target=_stop_when_idle, args=(built, stop), daemon=True).start()
        running.run(stop)
    finally:
        built.close()
    if running.fenced:
        raise DependencyUnavailable(
            "worker",
            "it was silent for so long that others took it for dead, and go on with its cycles",
            "Start it again; look for what paused the machine",
        )


def _told(turn: Turn) -> None:
    fates = ", ".join(f"{count} {fate.value}" for fate, count in sorted(turn.fates.items()))
    typer.echo(f"{turn.lane}: {fates or 'nothing settled'}{f', {turn.held} held' if turn.held else ''}")


def _stop_when_idle(built: App, stop: threading.Event) -> None:
    while not stop.is_set():
        if not built.inbox.counts().waiting and not built.ports.store.cycles(open_only=True, limit=1):
            stop.set()
        built.clock.sleep(timedelta(milliseconds=300))


@inbox.command("put", epilog="Example: evercrew inbox put alert.json")
def put(
    body: Annotated[Path, typer.Argument(help="A webhook body; - reads it from stdin.")],
    sender: Sender = "",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Accept a webhook body as the endpoint does: what is accepted is on disk.

    It takes what `evercrew alerts test` takes. Ends with 1 when something of it did not fit.
    """
    from cycles.bodies import form_named
    from cycles.intake import accept
    from service.cli import wired

    raw, form = text_of(body, "body"), form_named(sender)
    built = wired(config, workflow=False)
    try:
        receipt = accept(raw, built.routing, built.inbox, form)
    finally:
        built.close()
    told = {
        "accepted": receipt.accepted,
        "ignored": list(receipt.ignored),
        "malformed": list(receipt.malformed),
        "truncated": receipt.truncated,
    }
    typer.echo(
        json.dumps(told, indent=2) if as_json else "\n".join(f"{name}: {_said(value)}" for name, value in told.items())
    )
    raise typer.Exit(1 if receipt.malformed else 0)


def _said(value: object) -> object:
    return ("; ".join(value) or "none") if isinstance(value, list) else value


@inbox.command("show", epilog="Example: evercrew inbox show --json")
def show(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Show how many alerts wait, what became of the others, and what was set aside with the reason."""
    from service.cli import wired

    built = wired(config, workflow=False)
    try:
        counts, aside = built.inbox.counts(), built.inbox.aside(20)
    finally:
        built.close()
    if as_json:
        rows = [kept.model_dump(mode="json") for kept in aside]
        typer.echo(json.dumps({**counts.model_dump(mode="json"), "set_aside": rows}, indent=2))
        return
    typer.echo(f"waiting {counts.waiting}")
    for fate, count in sorted(counts.settled.items()):
        typer.echo(f"{fate.value} {count}")
    for kept in aside:
        typer.echo(f"set aside {kept.number}: {kept.reason}")
