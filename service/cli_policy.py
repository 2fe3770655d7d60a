"""`evercrew policy`: whether the policy set is sound, who may do what where, and why a decision is what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import ConfigurationError, InvalidInput
from service.cli_replay import backtest

if TYPE_CHECKING:
    from policies.access import AccessCell
    from policies.matrix import Explained
    from policies.pdp import PolicyDecisionPoint
    from service.rulings import MatrixRow

policy = typer.Typer(no_args_is_help=True, help="Check the policy set, and explain its decisions.")
policy.command("backtest", epilog="Example: evercrew policy backtest --policy DIR --last 30d")(backtest)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Folder = Annotated[
    Path | None, typer.Option("--dir", help="The folder of the set; default: the one that ships with this package.")
]
_NO = 1
_STATED = "all is well, nothing is earned yet, the flags are the profile's; E engine, A agent, P person"


@policy.command("check", epilog="Example: evercrew policy check --dir policies --json")
def check(folder: Folder = None, as_json: AsJson = False) -> None:
    """Validate the set against its schema, check its coverage, and print who may do what where.

    Ends with 1 when there are findings.
    """
    from domain.errors import PolicySetBroken
    from service.rulings import soundness

    try:
        found = soundness(_point(folder))
    except PolicySetBroken as problem:
        _say({"sound": False, "findings": [str(problem)], "matrix": [], "access": []}, as_json)
        raise typer.Exit(_NO) from None
    whole = found.model_dump(mode="json")
    if as_json:
        typer.echo(json.dumps(whole, indent=2))
    else:
        _print_matrix(found.matrix)
        _print_access(found.access)
        _say(whole, as_json=False)
    raise typer.Exit(0 if found.sound else _NO)


@policy.command(
    "explain", epilog="Example: evercrew policy explain --role devops_engineer --tool promote --env production"
)
def explain_decision(
    role: Annotated[str, typer.Option(help="The role that asks, e.g. devops_engineer.")],
    tool: Annotated[str, typer.Option(help="The tool that is asked for, e.g. promote.")],
    environment: Annotated[str, typer.Option("--env", help="dev, staging or production.")],
    via: Annotated[str, typer.Option(help="Who asks in the role: engine, agent or person.")] = "engine",
    context: Annotated[
        Path | None, typer.Option(help="A YAML or JSON file of context fields that differ from the stated ones.")
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Say what is decided, by which policies, and which single field of the context would flip it.

    Ends with 1 when the answer is not allow.
    """
    from service.rulings import explained

    found = explained(_point(folder), role=role, tool=tool, environment=environment, via=via, changed=_context(context))
    typer.echo(found.model_dump_json(indent=2) if as_json else _told(found))
    raise typer.Exit(0 if found.answer == "allow" else _NO)


def _point(folder: Path | None) -> PolicyDecisionPoint:
    from policies.pdp import PolicyDecisionPoint
    from service.policyset import PackagedSet, PolicyFolder

    source = PackagedSet() if folder is None else PolicyFolder(folder)
    return PolicyDecisionPoint.from_files(source.read())


def _context(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    from policies.loading import read_yaml

    try:
        given = read_yaml(file.read_text(encoding="utf-8"), file=file.name)
    except (OSError, UnicodeDecodeError, ConfigurationError) as problem:
        raise InvalidInput("context", f"cannot be read: {problem}", "Name a YAML or JSON file") from problem
    plain = isinstance(given, dict) and all(isinstance(v, bool | int | str) for v in given.values())
    if not plain:
        raise InvalidInput("context", "is no mapping of fields to plain values", "Write e.g. kill_switch: true")
    return {str(name): value for name, value in given.items()}


def _print_matrix(cells: Sequence[MatrixRow]) -> None:
    roles = list(dict.fromkeys(cell.role for cell in cells))
    width = max(len(cell.word) for cell in cells) + 2
    for environment in dict.fromkeys(cell.environment for cell in cells):
        typer.echo(f"{environment}: {_STATED}")
        typer.echo(f"{'':<24}" + "".join(f"{role:<{max(width, len(role) + 2)}}" for role in roles))
        here = [cell for cell in cells if cell.environment == environment]
        for tool in dict.fromkeys(cell.tool for cell in here):
            words = {cell.role: cell.word for cell in here if cell.tool == tool}
            typer.echo(f"{tool:<24}" + "".join(f"{words[r]:<{max(width, len(r) + 2)}}" for r in roles))
        typer.echo("")


def _print_access(cells: Sequence[AccessCell]) -> None:
    from domain.access import AccessRole

    for environment in dict.fromkeys(cell.environment for cell in cells):
        typer.echo(f"{environment}: who may ask the service; - nobody, P people only")
        typer.echo(f"{'':<24}" + "".join(f"{role.value:<10}" for role in AccessRole).rstrip())
        for cell in (cell for cell in cells if cell.environment == environment):
            words = ["-" if r not in cell.people else "allow" if r in cell.machines else "allow:P" for r in AccessRole]
            typer.echo(f"{cell.action:<24}" + "".join(f"{word:<10}" for word in words).rstrip())
        typer.echo("")


def _say(whole: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(whole, indent=2))
        return
    for finding in whole["findings"]:
        typer.echo(f"FINDING  {finding}")
    if not whole["findings"]:
        typer.echo(f"sound: {whole['policies']} policies, set {whole['policy_hash'][:12]}")


def _told(found: Explained) -> str:
    lines = [f"{found.answer}: {found.tool} by {found.role} ({found.via}) in {found.environment}", f"  {found.reason}"]
    lines += [f"  approved by {found.approval}"] if found.approval else []
    lines += [f"  decided by {policy}: {reason}" for policy, reason in found.policies.items()]
    lines += [
        f"  {flip.field}: {_plain(flip.value)} -> {_plain(flip.instead)} makes it {flip.answer} "
        f"({', '.join(flip.policies)})"
        for flip in found.flips
    ]
    return "\n".join(lines)


def _plain(value: bool | int | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
