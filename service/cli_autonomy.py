"""`evercrew autonomy`: what classes of action have earned, and the caps of admins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from domain.autonomy import Cap, Level, Standing
    from service.wiring import App

autonomy = typer.Typer(no_args_is_help=True, help="Show and cap what classes of action may do by themselves.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]
Kind = Annotated[str, typer.Argument(help="A class of action: promote, tune, data or index.")]
Who = Annotated[str, typer.Option("--as", help="Who says so: a name of section `people` with the role admin.")]
Why = Annotated[str, typer.Option(help="Why; it is on record.")]
Key = Annotated[Path | None, typer.Option("--key", help="The private key of who has one (Ed25519).")]


def _built(config: Path | None) -> App:
    from service.cli import wired

    return wired(config, workflow=False)


@autonomy.command("list", epilog="Example: evercrew autonomy list --json")
def list_levels(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """List the level of every class in the configured environment, and what it rests on."""
    built = _built(config)
    try:
        found = built.office.autonomy.standings(built.profile.name)
    finally:
        built.close()
    if as_json:
        typer.echo(json.dumps([standing.model_dump(mode="json") for standing in found], indent=2))
        return
    for standing in found:
        typer.echo(_line(standing))


@autonomy.command("cap", epilog="Example: evercrew autonomy cap promote --level approve --as Ann --reason audit")
def cap(
    kind: Kind,
    level: Annotated[str, typer.Option(help="No more than this: suggest or approve.")],
    who: Who,
    reason: Why,
    key: Key = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Cap a class in the configured environment; it takes effect at the next call."""
    from domain.autonomy import Level
    from domain.errors import InvalidInput

    lower = (Level.SUGGEST, Level.APPROVE)
    chosen = next((known for known in lower if known.value == level), None)
    if chosen is None:
        raise InvalidInput("level", f"{level!r} caps nothing", "Give suggest or approve; `uncap` lifts a cap")
    _said(config, who, chosen, kind, reason, key, as_json=as_json)


@autonomy.command("uncap", epilog="Example: evercrew autonomy uncap promote --as 'A. Person' --reason 'audit is over'")
def uncap(
    kind: Kind, who: Who, reason: Why, key: Key = None, config: ConfigPath = None, as_json: AsJson = False
) -> None:
    """Lift the cap of a class: what it has earned counts again."""
    _said(config, who, None, kind, reason, key, as_json=as_json)


@autonomy.command("history", epilog="Example: evercrew autonomy history promote")
def history(
    kind: Annotated[str, typer.Argument(help="Only this class.")] = "",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Show who capped what, when and why, and the trials that count."""
    built = _built(config)
    try:
        caps = built.office.autonomy.caps(kind, built.profile.name)
        trials = built.office.autonomy.trials(kind, built.profile.name)
    finally:
        built.close()
    if as_json:
        rows = {
            "caps": [c.model_dump(mode="json") for c in caps],
            "trials": [t.model_dump(mode="json") for t in trials],
        }
        typer.echo(json.dumps(rows, indent=2))
        return
    for one in caps:
        typer.echo(_cap_line(one))
    for trial in trials:
        word = "success" if trial.success else ("HARMFUL" if trial.harmful else "no success")
        typer.echo(f"{trial.at:%Y-%m-%d %H:%M}  {trial.kind:<8}  {trial.cycle_id}  {trial.outcome.value:<12}  {word}")
    if not caps and not trials:
        typer.echo("nothing is on record")


def _said(
    config: Path | None, who: str, level: Level | None, kind: str, reason: str, key: Path | None, *, as_json: bool
) -> None:
    from service.cli_approvals import account, private_key

    private = private_key(key)
    built = _built(config)
    try:
        record, environment = built.office.autonomy, built.profile.name
        record.put_cap(
            built.office.consent.rules.people,
            who,
            level,
            kind=kind,
            environment=environment,
            reason=reason,
            account=account(),
            key=private,
        )
        standing = record.standing(kind, environment)
    finally:
        built.close()
    typer.echo(standing.model_dump_json(indent=2) if as_json else _line(standing))


def _line(standing: Standing) -> str:
    return f"{standing.kind:<8}  {standing.environment:<10}  {standing.level.value:<8}  {standing.reason}"


def _cap_line(one: Cap) -> str:
    word = f"capped at {one.level.value}" if one.level else "cap lifted"
    return f"{one.at:%Y-%m-%d %H:%M}  {one.kind:<8}  {word} by {one.by}: {one.reason}"
