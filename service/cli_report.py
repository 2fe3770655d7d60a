"""`evercrew report`: what a week came to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from service.wiring import App

report = typer.Typer(no_args_is_help=True, help="Make and read the weekly report.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]


def _built(config: Path | None) -> App:
    from service.cli import wired

    return wired(config, workflow=False)


@report.command("weekly", epilog="Example: evercrew report weekly --week 2026-W47 --format html --out week.html")
def weekly(
    week: Annotated[str, typer.Option(help="The week, as 2026-W47; the last one when nothing is said.")] = "",
    since: Annotated[str, typer.Option("--from", help="The first day, as 2026-11-16.")] = "",
    until: Annotated[str, typer.Option("--to", help="The last day, as 2026-11-22.")] = "",
    form: Annotated[str, typer.Option("--format", help="md, html or json.")] = "md",
    out: Annotated[Path | None, typer.Option(help="The file to write; printed when left out.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep it with the others, and put it on record.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Compute the report of a week, from the store and the audit chain as they are now."""
    from service.cli_approvals import account
    from service.weekly.make import computed, made, texts_of
    from service.weekly.shelf import FORMATS
    from service.weekly.span import parsed

    form = "json" if as_json else form
    if form not in FORMATS:
        raise InvalidInput("format", f"{form!r} is none", f"Use one of: {', '.join(FORMATS)}")
    built = _built(config)
    try:
        span = parsed(week, since, until, built.clock.now())
        found = made(built, span, by=account()) if keep else computed(built, span)
        text = texts_of(found)[form]
    finally:
        built.close()
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise InvalidInput("out", f"cannot be written: {problem}", "Name another file") from problem
    typer.echo(f"wrote {out}")


@report.command("list", epilog="Example: evercrew report list --json")
def listed(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """List the weekly reports that are kept, the newest first."""
    from service.weekly.make import shelf_of

    built = _built(config)
    try:
        found = shelf_of(built).list()
    finally:
        built.close()
    if as_json:
        typer.echo(json.dumps([kept.model_dump(mode="json") for kept in found], indent=2))
        return
    for kept in found:
        typer.echo(f"{kept.id:<22}  {kept.made_at:%Y-%m-%d %H:%M}  {kept.summary}")
    if not found:
        typer.echo("no report is kept: `evercrew report weekly --keep` makes one")


@report.command("show", epilog="Example: evercrew report show 2026-W47 --format md")
def show(
    identity: Annotated[str, typer.Argument(help="A report, as `report list` names it.")],
    form: Annotated[str, typer.Option("--format", help="md, html or json.")] = "md",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Print a report as it was kept."""
    from service.weekly.make import shelf_of

    built = _built(config)
    try:
        text = shelf_of(built).read(identity, "json" if as_json else form)
    finally:
        built.close()
    typer.echo(text, nl=False)
