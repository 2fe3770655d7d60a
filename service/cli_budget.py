"""`evercrew budget`: what may be spent, what was, and whether the accounts add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from adapters.ledger.base import Entry, Standing
    from service.wiring import App
    from tools.purse import Purse

budget = typer.Typer(no_args_is_help=True, help="Show what is reserved and spent, check that it adds up.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]


def _built(config: Path | None) -> App:
    from service.cli import wired

    return wired(config, workflow=False)


def _purse(built: App) -> Purse:
    purse = built.office.purse
    if purse is None:
        raise InvalidInput("ledger", "nothing is counted here", "Build the application with a ledger")
    return purse


@budget.command("show", epilog="Example: evercrew budget show --cycle si_2026_01_31_001")
def show(
    config: ConfigPath = None,
    cycle: Annotated[str | None, typer.Option(help="Only the account of this cycle.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also past periods and ended cycles.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the accounts: limit, spent, set aside and left, of this period, this day and the open cycles."""
    built = _built(config)
    try:
        standings = _chosen(built, cycle, everything=everything)
    finally:
        built.close()
    if as_json:
        typer.echo(json.dumps([_row(standing) for standing in standings], indent=2))
        return
    for standing in standings:
        typer.echo(_said(standing))
    if not standings:
        typer.echo("nothing was spent or set aside")


@budget.command("check", epilog="Example: evercrew budget check --mend")
def check(
    config: ConfigPath = None,
    mend: Annotated[bool, typer.Option("--mend", help="Settle what is left set aside for ended cycles.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check that every account adds up and nothing is left set aside. Ends with 1 when something is wrong."""
    from cycles.dues import left_over, overdrawn, settle

    built = _built(config)
    try:
        purse = _purse(built)
        faults = list(purse.ledger.faults())
        standings = purse.ledger.accounts()
        dues = left_over(purse.ledger, built.ports.store, built.audit)
        # Into accounts that do not add up nothing more is written: they are evidence.
        left = settle(purse, dues) if mend and not faults else dues
    finally:
        built.close()
    found = {
        "accounts": len(standings),
        "faults": faults,
        "overdrawn": overdrawn(standings),
        "left_over": [due.said() for due in left],
        "settled": [due.said() for due in dues if due not in left],
    }
    whole = not (faults or left)
    if as_json:
        typer.echo(json.dumps({"whole": whole, **found}, indent=2))
    else:
        _tell_check(found)
    raise typer.Exit(0 if whole else 1)


@budget.command("history", epilog="Example: evercrew budget history --account cycle/si_2026_01_31_001 --limit 50")
def history(
    config: ConfigPath = None,
    account: Annotated[str | None, typer.Option(help="Only this account, as `budget show` names it.")] = None,
    key: Annotated[str | None, typer.Option(help="Only what happened under this key.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what was reserved, settled, given back and refused, oldest first."""
    built = _built(config)
    try:
        entries = _purse(built).ledger.entries(account, key=key, limit=limit)
    finally:
        built.close()
    if as_json:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
        return
    for entry in entries:
        typer.echo(_line(entry))
    if not entries:
        typer.echo("no entries")


def _chosen(built: App, cycle: str | None, *, everything: bool) -> list[Standing]:
    from tools.purse import cycle_account

    purse = _purse(built)
    if cycle is not None:
        standing = purse.ledger.account(cycle_account(cycle))
        if standing is None and built.ports.store.cycle(cycle) is None:
            raise InvalidInput("cycle", f"{cycle} is not a cycle", "See `evercrew cycles list`")
        return [standing] if standing is not None else []
    known = purse.ledger.accounts()
    if everything:
        return list(known)
    now = built.current_accounts()
    now |= {cycle_account(c.id) for c in built.ports.store.cycles(open_only=True)}
    return [standing for standing in known if standing.name in now]


def _row(standing: Standing) -> dict[str, Any]:
    return {**standing.model_dump(mode="json"), "left": standing.left.model_dump(), "share": standing.share()}


def _said(standing: Standing) -> str:
    from domain.budget import KINDS, amount_said

    lines = [standing.name + (f"  ALARM since {standing.alarmed:%Y-%m-%d %H:%M}" if standing.alarmed else "")]
    for kind in KINDS:
        limit, spent, reserved = standing.ceiling.of(kind), standing.spent.of(kind), standing.reserved.of(kind)
        if limit is None and not spent and not reserved:
            continue
        of = "no limit" if limit is None else f"of {amount_said(kind, limit)}"
        lines.append(f"  {amount_said(kind, spent)} spent, {amount_said(kind, reserved)} set aside, {of}")
    return "\n".join(lines)


def _line(entry: Entry) -> str:
    moves = [f"{what} {kind} {by:+d}" for what in ("reserved", "spent") for kind, by in getattr(entry, what).items()]
    return (
        f"{entry.at:%Y-%m-%d %H:%M:%S}  {entry.kind.value:<8} {entry.account}  {', '.join(moves) or '-'}  {entry.about}"
    )


def _tell_check(found: dict[str, Any]) -> None:
    typer.echo(f"{found['accounts']} accounts")
    for name, word in (("faults", "BROKEN"), ("overdrawn", "over  "), ("left_over", "left  "), ("settled", "settled")):
        for line in found[name]:
            typer.echo(f"{word}  {line}")
    if not any(found[name] for name in ("faults", "left_over")):
        typer.echo("every account adds up, and nothing is left set aside")
