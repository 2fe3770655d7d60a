"""`evercrew serve`: alerts, the API and the console over HTTP, and a worker for cycles, in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    config: Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on (serve.host).")] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port; 0 takes a free one (serve.port).")
    ] = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Answer only; cycles are worked by `evercrew worker` processes.")
    ] = False,
) -> None:
    """Take alerts, serve the API and the console, and work cycles, until SIGTERM.

    Prints its address, and on the first start the password of the first account, once. Several may run against one
    PostgreSQL, each with its own EVERCREW_EXECUTOR_ID. Ends with 3 when a part that it needs has failed.
    """
    from service.serve import run
    from service.settings import load

    settings = load()
    file = config or settings.config
    raise typer.Exit(run(file, settings, host=host, port=port, worker=not no_worker, say=_say))


def _say(text: str) -> None:
    typer.echo(text)
