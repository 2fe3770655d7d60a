"""`evercrew rollback`: back to a gold baseline, a revision or a day, by hand and through the door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidInput
from service.choice import chosen

if TYPE_CHECKING:
    from service.wiring import App
    from tools.deliver.restore import Destination, Restorer, Step


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]
_DONE, _NO = 0, 1


def restorer_of(built: App) -> Restorer:
    """Return what finds and rehearses destinations, of the application's ports."""
    from service.systems import layout_of
    from tools.deliver.restore import Restorer

    ports, config = built.ports, built.config
    return Restorer(
        ports.vcs,
        ports.tracking,
        ports.datasets,
        ports.store,
        model=config.tracking.model,
        target=config.target,
        environment=config.environment,
        layout=layout_of(config),
    )


def roll_back(
    to: Annotated[
        str,
        typer.Option(help="gold, a baseline like gold/2026-01-31-1, a version like v2, a revision, or a date (UTC)."),
    ],
    by: Annotated[str, typer.Option(help="Who rolls back; it is on record.")] = "",
    reason: Annotated[str, typer.Option(help="Why; it stands in the commit.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the change and rehearse it; change nothing.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Also while a cycle works on the target: it is asked to end.")
    ] = False,
    target: Annotated[str, typer.Option(help="Which target; by default the first of the configuration.")] = "",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Go back to a gold baseline, a revision or a day, and wait until the platform reports it live.

    Ends with 1 when a dry run finds a step that would fail.
    """
    from service.cli import wired

    if not dry_run and not (by.strip() and reason.strip()):
        field = "reason" if by.strip() else "by"
        raise InvalidInput(field, "a rollback by hand is on record with a name and a reason", "Add --by and --reason")
    whole = wired(config, workflow=False)
    try:
        built = chosen(whole, target)
        restorer = restorer_of(built)
        destination = restorer.resolve(to)
        diff = restorer.diff(destination)
        if dry_run:
            steps = restorer.rehearse(destination)
            _say_dry(destination, diff, steps, as_json)
            raise typer.Exit(_DONE if all(step.ok for step in steps) else _NO)
        if not as_json:
            _say_where(destination, diff)
        _restore(built, destination, by.strip(), reason.strip(), take_over=take_over, as_json=as_json)
    finally:
        whole.close()


def _restore(built: App, destination: Destination, by: str, reason: str, *, take_over: bool, as_json: bool) -> None:
    from cycles.restore import OperatorRestore

    hand = OperatorRestore(built.office, person=by, target=built.config.target, environment=built.config.environment)
    done = hand.run(destination, reason, take_over=take_over)
    if as_json:
        typer.echo(done.model_dump_json(indent=2))
        return
    typer.echo(f"{done.released.revision[:12]} is live: {done.live.digest[:19]}, recorded as {done.cycle_id}")
    for note in done.notes:
        typer.echo(f"note: {note}")


def _say_where(destination: Destination, diff: str) -> None:
    known = f", {destination.baseline.name}" if destination.baseline else ""
    typer.echo(f"{destination.asked} is {destination.revision[:12]} of {destination.at:%Y-%m-%d %H:%M} UTC{known}")
    typer.echo(diff.rstrip() if diff else "the values are what they were then")


def _say_dry(destination: Destination, diff: str, steps: list[Step], as_json: bool) -> None:
    if as_json:
        whole = {
            "destination": destination.model_dump(mode="json"),
            "diff": diff,
            "steps": [step.model_dump() for step in steps],
        }
        typer.echo(json.dumps(whole, indent=2))
        return
    _say_where(destination, diff)
    for step in steps:
        typer.echo(f"{'ok    ' if step.ok else 'BROKEN'}  {step.name:<8} {step.detail}")
