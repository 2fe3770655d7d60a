"""`evercrew alerts`: what alerts mean here, tried without doing it."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidInput
from service.choice import chosen_config
from service.cli_shape import Sender

if TYPE_CHECKING:
    from service.webhooks.trial import Tried

alerts = typer.Typer(
    no_args_is_help=True, help="Try what an alert would do, write alerting rules, see the generic body."
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
_LEAST_INTERVAL = timedelta(seconds=1)


@alerts.command("test", epilog="Example: evercrew alerts test alert.json --json")
def try_alerts(
    body: Annotated[Path, typer.Argument(help="A webhook body; - reads it from stdin.")],
    sender: Sender = "",
    config: Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a body would do, alert by alert, without doing it. Ends with 1 when nothing of it would be accepted."""
    from service.config import load_config
    from service.settings import load
    from service.webhooks.trial import try_body

    loaded = load_config(config or load().config)
    tried = try_body(_read(body), loaded, sender)
    typer.echo(tried.model_dump_json(indent=2) if as_json else _told(tried))
    raise typer.Exit(0 if any(alert.accepted for alert in tried.alerts) else 1)


@alerts.command("rules", epilog="Example: evercrew alerts rules --interval 30s > evercrew-rules.yml")
def rules(
    interval: Annotated[str, typer.Option(help="How often Prometheus evaluates them: 30s, 1m.")] = "30s",
    recording: Annotated[
        bool,
        typer.Option("--recording", help="Recordings of the signals, for a baseline of weeks, in place of alerts."),
    ] = False,
    target: Annotated[str, typer.Option(help="Which target; by default the first of the configuration.")] = "",
    config: Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a Prometheus rules file whose alerts mean what the contract means, by the profile's windows."""
    import yaml

    from service.config import load_config
    from service.rules import rules_of
    from service.settings import load

    every = _interval(interval)
    loaded = chosen_config(load_config(config or load().config), target)
    text, left_out = rules_of(loaded, every, recording=recording)
    for name in left_out:
        typer.echo(f"no metric is named for {name}: nothing watches it", err=True)
    typer.echo(json.dumps(yaml.safe_load(text), indent=2) if as_json else text, nl=as_json)


@alerts.command("schema", epilog="Example: evercrew alerts schema > generic.schema.json")
def schema() -> None:
    """Print the JSON Schema of the generic webhook body."""
    from cycles.bodies import generic_schema

    typer.echo(json.dumps(generic_schema(), indent=2))


def _interval(text: str) -> timedelta:
    from policies.durations import parse_duration

    try:
        every = parse_duration(text)
    except ValueError as problem:
        raise InvalidInput("interval", str(problem), "Write e.g. 30s") from None
    if every < _LEAST_INTERVAL:
        raise InvalidInput("interval", f"{text!r} is less than a second", "Write e.g. 30s")
    return every


def _read(body: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(body) == "-" else body.read_bytes()
    except OSError as problem:
        raise InvalidInput("body", f"cannot be read: {problem}", "Name a readable file") from problem


def _told(tried: Tried) -> str:
    lines = [f"body of {tried.sender or 'nobody known'}: {tried.said}"]
    for alert in tried.alerts:
        means = f"{alert.signal} of {alert.target} in {alert.environment}" if alert.accepted else "not accepted"
        lines.append(f"{alert.name or alert.fingerprint or '?'} ({alert.status or '?'}): {means}")
        lines.append(f"    {alert.would}")
    return "\n".join(lines)
