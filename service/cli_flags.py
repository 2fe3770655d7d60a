"""`evercrew flags` and `evercrew kill`: what is switched on where, by whom and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from adapters.store.base import FlagChange, FlagRow

flags = typer.Typer(no_args_is_help=True, help="List, set and trace feature flags.")
kill = typer.Typer(no_args_is_help=True, help="Throw, lift and show the kill switch.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]
By = Annotated[str, typer.Option("--by", help="Who switches it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it goes into the audit.")]
Where = Annotated[str, typer.Option("--env", help="dev, staging, production or all.")]
Agent = Annotated[str, typer.Option("--agent", help="Only the effects of this role.")]
ToolName = Annotated[str, typer.Option("--tool", help="Only this tool.")]
_NO = 1
_EVERYWHERE = "all"


@flags.command("list", epilog="Example: evercrew flags list --json")
def list_flags(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """List every feature as it counts in this environment, and the rows that say so."""
    from service.records import records_of
    from service.switching import features

    with records_of(config) as records:
        environment = records.profile.name
        rows = [each.model_dump(mode="json") for each in features(records.store, records.profile)]
        thrown = records.flags().thrown(environment)
        kept = [row.model_dump(mode="json") for row in records.store.flags()]
    if as_json:
        typer.echo(json.dumps({"flags": rows, "killed": thrown, "rows": kept}, indent=2))
        return
    for each in rows:
        typer.echo(f"{'on ' if each['enabled'] else 'off'}  {each['flag']:<26} {environment:<11} {each['said_by']}")
    for said in thrown:
        typer.echo(f"KILLED  {said}")


@flags.command(
    "set", epilog="Example: evercrew flags set auto_promote off --env production --by ann --reason 'a freeze'"
)
def set_flag(
    name: Annotated[
        str,
        typer.Argument(help="self_improvement_enabled, auto_promote, auto_rollback, ab_testing, cost_optimization."),
    ],
    value: Annotated[str, typer.Argument(help="on or off.")],
    by: By,
    reason: Reason,
    environment: Where = _EVERYWHERE,
    details: Annotated[str, typer.Option(help="A JSON object that is kept beside the flag.")] = "{}",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Switch a feature on or off."""
    from service.cli_approvals import account
    from service.records import ACCOUNT, records_of

    if value not in ("on", "off"):
        raise InvalidInput("value", f"{value!r} is neither on nor off", "Write on or off")
    with records_of(config) as records:
        row = records.switchboard.set_feature(
            name,
            value == "on",
            environment=environment,
            by=by,
            reason=reason,
            details={**_object(details), ACCOUNT: account()},
        )
    typer.echo(row.model_dump_json(indent=2) if as_json else _row(row))


@flags.command("history", epilog="Example: evercrew flags history auto_promote")
def history(
    name: Annotated[str, typer.Argument(help="A flag; default: all, the kill switches too.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 50,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """List who switched what, when and why, newest first."""
    from service.records import records_of

    with records_of(config) as records:
        changes = records.switchboard.history(name, limit=limit)
    if as_json:
        typer.echo(json.dumps([change.model_dump(mode="json") for change in changes], indent=2))
        return
    for change in changes:
        typer.echo(_change(change))
    if not changes:
        typer.echo("no changes")


@kill.command("on", epilog="Example: evercrew kill on --env production --by ann --reason 'it loops'")
def throw(
    by: By,
    reason: Reason,
    environment: Where = _EVERYWHERE,
    agent: Agent = "",
    tool: ToolName = "",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Throw it: the very next effect is refused, and what is half done is brought to a safe state."""
    _switch(True, by, reason, environment, agent, tool, config, as_json)


@kill.command("off", epilog="Example: evercrew kill off --env production --by ann --reason 'mended'")
def lift(
    by: By,
    reason: Reason,
    environment: Where = _EVERYWHERE,
    agent: Agent = "",
    tool: ToolName = "",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Lift that switch, and say which others are still on, and how each is lifted.

    Without --env it is the one of `all`: one that was thrown in an environment stays on there. Ends with 1 when another
    switch keeps this environment stopped.
    """
    _switch(False, by, reason, environment, agent, tool, config, as_json)


@kill.command("status", epilog="Example: evercrew kill status --json")
def status(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Show every kill switch that is on. Ends with 1 when this environment is stopped."""
    from service.records import records_of
    from service.switching import kill_status

    with records_of(config) as records:
        found = kill_status(records.store, records.profile)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        for row in found.switches:
            typer.echo(_row(row))
        for cycle_id in found.held:
            typer.echo(f"{cycle_id} is held: its change stays live and unjudged until the switch is lifted")
        said = f"stopped: {'; '.join(found.because)}" if found.killed else "not stopped"
        typer.echo(f"{found.environment} is {said}")
    raise typer.Exit(_NO if found.killed else 0)


def _switch(
    on: bool, by: str, reason: str, environment: str, agent: str, tool: str, config: Path | None, as_json: bool
) -> None:
    from service.cli_approvals import account
    from service.records import ACCOUNT, records_of
    from service.switching import switched

    with records_of(config) as records:
        done = switched(
            records.switchboard,
            records.store,
            records.profile,
            on,
            by=by,
            reason=reason,
            environment=environment,
            agent=agent,
            tool=tool,
            details={ACCOUNT: account()},
        )
        here = records.profile.name
    if as_json:
        typer.echo(done.model_dump_json(indent=2))
    else:
        typer.echo(_row(done.switch))
        for row in () if on else done.switches:
            typer.echo(f"STILL ON  {_row(row)}\n          lift it with: {_lifting(row)}")
        if done.still_on:
            typer.echo(f"{here} stays stopped: {'; '.join(done.still_on)}")
    raise typer.Exit(_NO if done.still_on else 0)


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as problem:
        raise InvalidInput("details", f"is no JSON: {problem}", "Write e.g. '{\"max_budget_usd\": 500}'") from None
    if not isinstance(given, dict):
        raise InvalidInput("details", "is no JSON object", "Write e.g. '{\"max_budget_usd\": 500}'")
    return given


def _row(row: FlagRow) -> str:
    said = f" ({row.details['reason']}; {row.details['by']})" if "by" in row.details else ""
    return f"{'on ' if row.enabled else 'off'}  {row.name:<26} {row.environment:<11}{said}"


def _lifting(row: FlagRow) -> str:
    """Return the command that lifts a kill switch, but for who and why."""
    kind, _, name = row.name.partition("/")[2].partition("/")
    narrowed = f" --{kind} {name}" if kind else ""
    return f"evercrew kill off --env {row.environment}{narrowed} --by NAME --reason TEXT"


def _change(change: FlagChange) -> str:
    from service.records import ACCOUNT

    said = f"{change.by}: {change.details.get('reason', '')}"
    ran = f" (account {change.details[ACCOUNT]})" if change.details.get(ACCOUNT) else ""
    word = "on " if change.enabled else "off"
    return f"{change.at:%Y-%m-%d %H:%M:%S}  {word}  {change.name:<26} {change.environment:<11} {said}{ran}"
