"""`evercrew overrides`: for a while, an admin's number in place of one of the contract's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import timedelta

    from domain.override import Kind, Override

overrides = typer.Typer(no_args_is_help=True, help="List, add and end overrides of gates and thresholds.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]
By = Annotated[str, typer.Option("--by", help="Who is responsible for it: an admin of section `people`.")]
Key = Annotated[Path | None, typer.Option("--key", help="That admin's private key, where they have one (Ed25519).")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it goes into the audit.")]


@overrides.command("list", epilog="Example: evercrew overrides list --all")
def list_overrides(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """List the overrides of this environment that are in force."""
    from service.records import records_of

    with records_of(config) as records:
        found = list(records.rulebook.listed() if everything else records.rulebook.in_force())
        now = records.clock.now()
        left = {each.id: records.rulebook.left_out(each) for each in found if each.in_force(now)}
    if as_json:
        rows = [
            {
                **each.model_dump(mode="json"),
                "in_force": each.in_force(now),
                "left_out": left.get(each.id, ""),
            }
            for each in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    for each in found:
        state = "in force" if each.in_force(now) else ("ended" if each.ended_at else "expired")
        typer.echo(f"{each.id}  {'LEFT OUT' if left.get(each.id) else state:<8}  {each.said()}")
        if left.get(each.id):
            typer.echo(f"{'':<13}  {'':<8}  it does not count: {left[each.id]}")
    if not found:
        typer.echo("no overrides")


@overrides.command(
    "add",
    epilog="Example: evercrew overrides add --gate ndcg_at_10 --threshold 0.02 --env staging --by ann "
    "--reason 'new corpus' --expires 2h",
)
def add(
    threshold: Annotated[float, typer.Option(help="The number that counts meanwhile, in the gate's own terms.")],
    environment: Annotated[str, typer.Option("--env", help="The environment of this configuration, to be sure.")],
    by: By,
    reason: Reason,
    expires: Annotated[str, typer.Option(help="For how long, e.g. 30m, 2h, 3d; at most 30d.")],
    gate: Annotated[str, typer.Option(help="A gate or guard of the contract; NAME_level for its level.")] = "",
    signal: Annotated[str, typer.Option(help="A signal of the contract, whose limit is overridden.")] = "",
    of: Annotated[str, typer.Option(help="Which limit: absolute or relative_to_baseline.")] = "absolute",
    rollback: Annotated[bool, typer.Option("--rollback", help="The limit of the signal's rollback.")] = False,
    key: Key = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Put an override in force, at once, until it expires."""
    from domain.override import override
    from service.cli_approvals import private_key
    from service.records import proof_of_admin, records_of

    if bool(gate) == bool(signal):
        raise InvalidInput("gate", "one of --gate and --signal is needed", "Name a gate, or a signal with --of")
    lasts = _duration(expires)
    kind: Kind = "gate" if gate else ("rollback" if rollback else "limit")
    limit: Any = "" if gate else _limit(of)
    with records_of(config) as records:
        if environment != records.profile.name:
            remedy = f"Use the configuration of {environment}, or --env {records.profile.name}"
            raise InvalidInput("env", f"this configuration is of {records.profile.name}, not {environment}", remedy)
        wanted = override(
            kind,
            gate or signal,
            _finite(threshold),
            of=limit,
            environment=environment,
            by=by,
            reason=reason,
            at=records.clock.now(),
            lasts=lasts,
        )
        wanted = records.rulebook.meant(wanted)
        proof = proof_of_admin(records.config, by, private_key(key), wanted.model_dump(mode="json"))
        made = records.rulebook.add(wanted, proof)
    _tell(made, as_json)


@overrides.command("end", epilog="Example: evercrew overrides end ov_1a2b3c4d5e --by ann --reason 'no longer needed'")
def end(
    identity: Annotated[str, typer.Argument(help="Identity of an override, e.g. ov_1a2b3c4d5e.")],
    by: By,
    reason: Reason,
    key: Key = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """End an override before its time."""
    from service.cli_approvals import private_key
    from service.records import proof_of_admin, records_of

    with records_of(config) as records:
        word = {"override": identity, "by": by, "reason": reason}
        proof = proof_of_admin(records.config, by, private_key(key), word)
        ended = records.rulebook.end(identity, by=by, reason=reason, proof=proof)
    _tell(ended, as_json)


def _duration(text: str) -> timedelta:
    from policies.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as problem:
        raise InvalidInput("expires", str(problem), "Write e.g. 2h") from problem


def _limit(of: str) -> Any:
    if of not in ("absolute", "relative_to_baseline"):
        raise InvalidInput("of", f"{of!r} is no limit", "Use absolute or relative_to_baseline")
    return of


def _finite(threshold: float) -> float:
    import math

    if not math.isfinite(threshold):
        raise InvalidInput("threshold", f"{threshold} is not finite", "Give a number")
    return threshold


def _tell(made: Override, as_json: bool) -> None:
    typer.echo(made.model_dump_json(indent=2) if as_json else f"{made.id}  {made.said()}")
