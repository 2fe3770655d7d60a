"""`evercrew cycles`: looking at cycles, proving them, and steering them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import ConflictError, InvalidInput
from service.cli_replay import replay
from service.progress import waiting

if TYPE_CHECKING:
    from domain.cycle import Cycle
    from service.wiring import App

cycles = typer.Typer(no_args_is_help=True, help="List, show, verify, replay, resume and cancel cycles.")
cycles.command("replay", epilog="Example: evercrew cycles replay si_2026_01_31_001 --gates stricter.yaml")(replay)

CycleId = Annotated[str, typer.Argument(help="Identity of a cycle, e.g. si_2026_01_31_001.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]


def _built(config: Path | None, *, workflow: bool = False) -> App:
    from service.cli import wired

    return wired(config, workflow=workflow)


def _row(cycle: Cycle) -> dict[str, Any]:
    return {
        "cycle_id": cycle.id,
        "stage": cycle.stage.value,
        "signal": cycle.alert.signal,
        "target": cycle.target,
        "action": cycle.action.value if cycle.action else None,
        "outcome": cycle.outcome.value if cycle.outcome else None,
        "opened_at": cycle.opened_at.isoformat(),
        "reason": cycle.reason,
    }


@cycles.command("list", epilog="Example: evercrew cycles list --open --json")
def list_cycles(
    config: ConfigPath = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only cycles that have not ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List cycles, newest first."""
    built = _built(config)
    try:
        rows = [_row(cycle) for cycle in built.ports.store.cycles(open_only=only_open, limit=limit)]
    finally:
        built.close()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        what = f"{row['stage']:<9}  {row['signal']:<22}  {row['action'] or '-':<9}  {row['outcome'] or '-'}"
        typer.echo(f"{row['cycle_id']}  {what}")
    if not rows:
        typer.echo("no cycles")


@cycles.command("show", epilog="Example: evercrew cycles show si_2026_01_31_001")
def show(cycle_id: CycleId, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Show a cycle with its effects and records."""
    built = _built(config)
    try:
        cycle = _known(built, cycle_id)
        records = built.audit.records(cycle_id)
        folder = str(built.office.artifacts.folder(cycle_id))
    finally:
        built.close()
    if as_json:
        whole = {**_row(cycle), "facts": dict(cycle.facts), "records": len(records), "artifacts": folder}
        typer.echo(json.dumps(whole, indent=2, default=str))
        return
    for name, value in _row(cycle).items():
        typer.echo(f"{name:<10} {value}")
    typer.echo(f"{'artifacts':<10} {folder}")
    for record in records:
        entry = record.entry
        what = f"{entry.stage:<9} {entry.kind.value:<10} {entry.tool:<22} {entry.status}"
        typer.echo(f"  {record.sequence:>5} {record.at:%H:%M:%S} {what}")


@cycles.command("verify", epilog="Example: evercrew cycles verify si_2026_01_31_001 --json")
def verify_cycle(cycle_id: CycleId, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Prove a cycle: chain, artifacts, data, model, git and what is live. Ends with 1 when a link does not hold."""
    from cycles.verify import verify

    built = _built(config)
    try:
        with waiting("asking every system"):
            checks = verify(cycle_id, built.at(_known(built, cycle_id).target).evidence())
    finally:
        built.close()
    whole = all(check.ok for check in checks)
    if as_json:
        rows = [check.model_dump() for check in checks]
        typer.echo(json.dumps({"cycle_id": cycle_id, "verified": whole, "checks": rows}, indent=2))
    else:
        for check in checks:
            typer.echo(f"{'ok    ' if check.ok else 'BROKEN'}  {check.name:<22} {check.detail}")
    raise typer.Exit(0 if whole else 1)


@cycles.command("resume", epilog="Example: evercrew cycles resume si_2026_01_31_001")
def resume(
    cycle_id: CycleId,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a cycle that was interrupted, to its end; what waits for people goes on waiting."""
    try:
        built = _built(config, workflow=True)
    except ConflictError:
        typer.echo(f"{cycle_id}: a running process works on it and goes on by itself")
        return
    try:
        _known(built, cycle_id)
        built.engine.resume(cycle_id)
        row = _row(built.engine.wait(cycle_id, timedelta(days=30)))
    finally:
        built.close()
    typer.echo(json.dumps(row, indent=2) if as_json else f"{cycle_id}: {row['outcome']}: {row['reason']}")


@cycles.command("cancel", epilog="Example: evercrew cycles cancel si_2026_01_31_001")
def cancel(cycle_id: CycleId, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Ask a cycle to end at its next step; a change that is live and unjudged is judged first."""
    built = _built(config)
    try:
        built.engine.cancel(cycle_id)
        row = _row(_known(built, cycle_id))
    finally:
        built.close()
    typer.echo(json.dumps(row, indent=2) if as_json else f"{cycle_id} ends at its next step")


def _known(built: App, cycle_id: str) -> Cycle:
    cycle = built.ports.store.cycle(cycle_id)
    if cycle is None:
        raise InvalidInput("cycle_id", f"{cycle_id} is not a cycle", "See `evercrew cycles list`")
    return cycle
