"""`evercrew init`: a commented configuration to start from, by flags or by questions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidInput
from service.cli_approvals import account

if TYPE_CHECKING:
    from service.starter import Site

_NEXT = ("adapt it", "evercrew doctor", "evercrew serve")


def init(
    out: Annotated[Path, typer.Option(help="The file to write; never overwritten.")] = Path("evercrew.yaml"),
    platform: Annotated[str | None, typer.Option(help="Where your search platform answers.")] = None,
    environment: Annotated[str | None, typer.Option(help="dev, staging or production.")] = None,
    target: Annotated[str | None, typer.Option(help="The name of the platform, as alerts have it.")] = None,
    prometheus: Annotated[
        str | None, typer.Option(help="Where Prometheus answers; left out: the platform's own /metrics page.")
    ] = None,
    values: Annotated[str | None, typer.Option(help="The git repository with the values file.")] = None,
    tracking: Annotated[str | None, typer.Option(help="MLflow: a server's address, or sqlite:///file.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take the default of what is not given.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Write a commented configuration to start from.

    In a terminal it asks for what no option gives; elsewhere it takes the defaults.
    """
    from service.starter import starter

    if out.exists():
        raise InvalidInput("out", f"{out} exists", "Name another file, or delete it first")
    asked = sys.stdin.isatty() and not (yes or as_json)
    given = {
        "platform": platform,
        "environment": environment,
        "target": target,
        "prometheus": prometheus,
        "values": values,
        "tracking": tracking,
    }
    site = _site({name: _answer(name, value, asked=asked) for name, value in given.items()})
    try:
        out.write_text(starter(site), encoding="utf-8")
    except OSError as problem:
        raise InvalidInput("out", f"cannot be written: {problem}", "Name a file this user may write") from None
    if as_json:
        typer.echo(json.dumps({"written": str(out), "next": list(_NEXT)}))
    else:
        typer.echo(f"wrote {out}; next: {'; '.join(_NEXT)}")


def _answer(name: str, given: str | None, *, asked: bool) -> Any:
    from service.starter import Site

    field = Site.model_fields[name]
    if given is not None or not asked:
        return field.default if given is None else given
    return typer.prompt(field.description or name, default=field.default, show_default=bool(field.default))


def _site(answers: dict[str, Any]) -> Site:
    from pydantic import ValidationError

    from service.starter import Site

    try:
        return Site(person=account(), **answers)
    except ValidationError as problem:
        first = problem.errors()[0]
        field, given = str(first["loc"][0]), first["input"]
        raise InvalidInput(field, f"{given!r} is none", f"Give: {Site.model_fields[field].description}") from None
