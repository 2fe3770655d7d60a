"""`evercrew mcp`: the MCP server, for a person's own assistant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import DependencyUnavailable

if TYPE_CHECKING:
    from service.api.serving import Serving
    from service.mcp.identity import Bearer
    from service.mcp.server import Assistant
    from service.settings import Settings


def mcp(
    config: Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")] = None,
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP instead of standard input.")] = False,
    host: Annotated[str, typer.Option(help="With --http: the address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http: the port; 0 takes a free one.")] = 8765,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="With --http: a name it may be called by, e.g. evercrew.example:8765; may be repeated."),
    ] = None,
) -> None:
    """Let an assistant look things up and ask for changes, under the role of one person.

    On standard input that person is whoever EVERCREW_MCP_TOKEN is a token of, else whose account of this machine it is
    (section `people`). Over HTTP every request brings its own bearer token.
    """
    from service.settings import load

    settings = load()
    with _serving(config, settings) as serving:
        if http:
            _http(serving, host, port, allow_host or [])
        else:
            _stdio(serving, settings)


def _stdio(serving: Serving, settings: Settings) -> None:
    import anyio
    from mcp.server.stdio import stdio_server

    assistant = _assistant(serving, _bearer(serving, settings))

    async def run() -> None:
        async with stdio_server() as (reading, writing):
            await assistant.server.run(reading, writing, assistant.server.create_initialization_options())

    anyio.run(run)


def _http(serving: Serving, host: str, port: int, allowed: list[str]) -> None:
    import socket

    import uvicorn

    from service.mcp.http import PLACE, http_app
    from service.mcp.identity import of_request

    app = http_app(_assistant(serving, of_request), serving.access, hosts=allowed)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = socket.create_server((host, port), family=family)
    except OSError as problem:
        remedy = "Name an address of this machine, and a port that nobody listens on"
        raise DependencyUnavailable("mcp", f"{host}:{port} cannot be listened on: {problem}", remedy) from None
    with server as listening:
        bound = listening.getsockname()[1]
        typer.echo(f"MCP at http://{f'[{host}]' if ':' in host else host}:{bound}{PLACE}", err=True)
        settings = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(settings).run([listening])


def _bearer(serving: Serving, settings: Settings) -> Bearer:
    """Return who the process was started for."""
    from service.cli_approvals import account
    from service.consents import people_of
    from service.mcp.identity import of_account, of_token

    if settings.mcp_token:
        return of_token(settings.mcp_token)
    return of_account(serving.access, people_of(serving.app.config.people), account())


def _assistant(serving: Serving, bearer: Bearer) -> Assistant:
    from service.api.app import create_app
    from service.mcp.asking import Asking
    from service.mcp.server import Assistant

    return Assistant(serving, Asking(create_app(serving)), bearer)


@contextmanager
def _serving(config: Path | None, settings: Settings) -> Iterator[Serving]:
    """Build what the API stands on; cycles are worked by `evercrew serve` or `evercrew worker`."""
    from service.access.desk import access_of
    from service.api.serving import Serving
    from service.cli import wired

    app = wired(config, workflow=False)
    try:
        access = access_of(app.database, app.policies, settings, app.config, app.clock, app.audit)
        try:
            yield Serving(app=app, access=access)
        finally:
            access.close()
    finally:
        app.close()
