"""`evercrew traces`: what happened in a cycle, from our own record, without any service; and where traces go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cycles.reviewed import Review

traces = typer.Typer(no_args_is_help=True, help="Review the trace of a cycle, and check where traces go.")

CycleId = Annotated[str, typer.Argument(help="Identity of a cycle, e.g. si_2026_01_31_001.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]
_DONE, _NO = 0, 1


@traces.command("review", epilog="Example: evercrew traces review si_2026_01_31_001 --md > review.md")
def review_cycle(
    cycle_id: CycleId,
    config: ConfigPath = None,
    as_json: AsJson = False,
    as_md: Annotated[bool, typer.Option("--md", help="Print Markdown, for a document.")] = False,
    whole: Annotated[
        bool, typer.Option("--all", help="Show every look of a stage that looked again and again.")
    ] = False,
) -> None:
    """Show who did what in a cycle, what the door answered, and tokens, cost and durations.

    Everything comes from the audit chain, the tape and the store. Ends with 1 when that record has a hole.
    """
    from service.traced import as_markdown, as_tree

    with _reviewed(config, cycle_id) as found:
        if as_json:
            typer.echo(json.dumps(found.model_dump(mode="json"), indent=2, ensure_ascii=False))
        elif as_md:
            typer.echo(as_markdown(found, whole=whole))
        else:
            as_tree(found, whole=whole)
    raise typer.Exit(_DONE if found.whole else _NO)


@traces.command("check", epilog="Example: evercrew traces check --json")
def check(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Ask everything traces are sent to whether it takes them. Ends with 3 when one does not."""
    from contextlib import ExitStack

    from domain.clock import SystemClock
    from service.config import load_config
    from service.settings import load
    from service.tracers import traces_of

    settings = load()
    with ExitStack() as closing:
        told = traces_of(load_config(config or settings.config), settings, SystemClock(), closing).check()
    typer.echo(json.dumps({"traces": told.removeprefix("traces: ")}) if as_json else told)


@contextmanager
def _reviewed(path: Path | None, cycle_id: str) -> Iterator[Review]:
    """Open the chain and the store and nothing else: a review must be possible while everything around is down."""
    from contextlib import ExitStack

    from cycles.review import review
    from domain.clock import SystemClock
    from service.auditing import audit_of
    from service.config import load_config
    from service.database import database_of, store_of
    from service.settings import load

    settings = load()
    config = load_config(path or settings.config)
    with ExitStack() as closing:
        audit = audit_of(config, SystemClock(), closing, key=settings.audit_key)
        yield review(cycle_id, store_of(database_of(config, closing)), audit)
