"""`evercrew api`: the REST API as a document, for clients that are generated and for whoever reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.errors import InvalidInput

api = typer.Typer(no_args_is_help=True, help="Describe the REST API.")


@api.command("schema", epilog="Example: evercrew api schema --out openapi.json")
def schema(
    out: Annotated[Path | None, typer.Option(help="The file to write; by default it is printed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The document is JSON anyway.")] = False,
) -> None:
    """Print the OpenAPI document. Nothing is connected to: it is the same for every configuration."""
    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise InvalidInput("out", f"cannot be written: {problem}", "Name a file this user may write") from problem
    typer.echo(json.dumps({"written": str(out)}) if as_json else f"wrote {out}")


def document() -> dict[str, Any]:
    """Return the OpenAPI of the service."""
    from service.api.app import described

    return described()
