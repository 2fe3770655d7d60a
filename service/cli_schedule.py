"""`evercrew schedule`: what is done by the clock, and how it went."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cycles.schedule import ScheduledRun, ScheduleState
    from service.wiring import App

schedule = typer.Typer(no_args_is_help=True, help="Run, list and try what is done by the clock.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]


def _built(config: Path | None, *, workflow: bool) -> App:
    from service.cli import wired

    return wired(config, workflow=workflow)


@schedule.command("list", epilog="Example: evercrew schedule list --json")
def list_schedules(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """List the schedules, when they are due next, and how their last run went."""
    from service.schedules import scheduler_of

    built = _built(config, workflow=False)
    try:
        states = scheduler_of(built).state()
    finally:
        built.close()
    if as_json:
        typer.echo(json.dumps([state.model_dump(mode="json") for state in states], indent=2))
        return
    for state in states:
        typer.echo(_said(state))


@schedule.command("once", epilog="Example: evercrew schedule once rehearsal")
def once(
    name: Annotated[str, typer.Argument(help="rehearsal, backup, health, retention or weekly_report.")],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Run a schedule now. Ends with 1 when it failed.

    A cycle that a health check opens is carried on by `evercrew schedule run` or `evercrew cycles resume`.
    """
    from cycles.schedule import RunStatus
    from service.schedules import scheduler_of

    built = _built(config, workflow=name == "health")
    try:
        run = scheduler_of(built).once(name)
    finally:
        built.close()
    typer.echo(run.model_dump_json(indent=2) if as_json else _told(run))
    raise typer.Exit(0 if run.status is RunStatus.DONE else 1)


@schedule.command("run", epilog="Example: evercrew schedule run --config evercrew.yaml")
def run(
    config: ConfigPath = None,
    look: Annotated[float, typer.Option(min=0.1, help="Look at least every so many seconds.")] = 30.0,
) -> None:
    """Run what is due, in the foreground, until it is interrupted; what was missed while it was off runs once."""
    from service.schedules import scheduler_of

    built = _built(config, workflow=True)
    try:
        scheduler = scheduler_of(built)
        for state in scheduler.state():
            typer.echo(_said(state))
        scheduler.loop(lambda: False, lambda done: typer.echo(_told(done)), look=timedelta(seconds=look))
    except KeyboardInterrupt:
        typer.echo("stopped")
    finally:
        built.close()


def _said(state: ScheduleState) -> str:
    last = "never ran" if state.last is None else _told(state.last)
    return f"{state.name:<13} {state.timing:<16} next {state.due:%Y-%m-%d %H:%M} UTC  {last}"


def _told(run: ScheduledRun) -> str:
    return f"{run.name} {run.status.value} at {run.started_at:%Y-%m-%d %H:%M} UTC: {run.detail or 'still at it'}"
