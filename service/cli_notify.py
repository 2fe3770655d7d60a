"""`evercrew notify`: try the channels, see what was told and what could not be, send it again."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from adapters.notices.base import Notice
    from service.wiring import App

notify = typer.Typer(no_args_is_help=True, help="Try the channels people are told on, and see what was told.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]


def _built(config: Path | None) -> App:
    from service.cli import wired

    return wired(config, workflow=False)


@notify.command("test", epilog="Example: evercrew notify test --channel slack")
def try_out(
    channel: Annotated[str, typer.Option(help="slack, email or webhook; all when left out.")] = "",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Send a test message. Ends with 1 when a channel did not take it."""
    from service.notices.desk import notice_desk_of

    built = _built(config)
    try:
        with notice_desk_of(built) as desk:
            found = desk.test(channel)
    finally:
        built.close()
    if as_json:
        typer.echo(json.dumps({name: problem or "sent" for name, problem in found.items()}, indent=2))
    else:
        for name, problem in found.items():
            typer.echo(f"{'FAILED' if problem else 'sent  '}  {name:<8} {problem}".rstrip())
    raise typer.Exit(1 if any(found.values()) or not found else 0)


@notify.command("list", epilog="Example: evercrew notify list --state dead")
def listed(
    state: Annotated[str, typer.Option(help="waiting, sent, folded or dead; all when left out.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """List what waits to be told, what was told, and what could not be."""
    from adapters.notices.base import NoticeState
    from domain.errors import InvalidInput

    known = [each.value for each in NoticeState]
    if state and state not in known:
        raise InvalidInput("state", f"{state!r} is none", f"Use one of: {', '.join(known)}")
    built = _built(config)
    try:
        found = built.notices.listed(state=NoticeState(state) if state else None, limit=limit)
        counts = built.notices.counts(now=built.clock.now())
    finally:
        built.close()
    if as_json:
        rows = [notice.model_dump(mode="json") for notice in found]
        typer.echo(json.dumps({"counts": counts.model_dump(mode="json"), "notices": rows}, indent=2))
        return
    typer.echo(f"{counts.waiting} wait, {counts.sent + counts.folded} told, {counts.dead} dead")
    for notice in found:
        typer.echo(_said(notice))


@notify.command("retry", epilog="Example: evercrew notify retry 17")
def retry(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of dead letters; all when left out.")] = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Let dead letters wait again. Ends with 1 when there was none to retry."""
    from adapters.notices.base import NoticeState

    built = _built(config)
    try:
        dead = [n.number for n in built.notices.listed(state=NoticeState.DEAD, limit=10_000)]
        wanted = numbers or dead
        revived = [number for number in wanted if built.notices.revive(number, at=built.clock.now())]
    finally:
        built.close()
    typer.echo(json.dumps({"revived": revived}) if as_json else f"{len(revived)} wait again")
    raise typer.Exit(0 if revived else 1)


@notify.command("run", epilog="Example: evercrew notify run --config evercrew.yaml")
def run(
    config: ConfigPath = None,
    once: Annotated[bool, typer.Option("--once", help="Tell what is due now, and end.")] = False,
) -> None:
    """Tell people what happens, until SIGTERM; `evercrew serve` does so by itself."""
    from service.notices.desk import notice_desk_of

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    built = _built(config)
    try:
        with notice_desk_of(built) as desk:
            if once:
                done = desk.once()
                typer.echo(f"{done.sent} sent, {done.again} tried again later, {done.dead} dead")
            else:
                typer.echo(f"people are told on {', '.join(desk.channels)}")
                desk.run(stop)
    finally:
        built.close()


def _said(notice: Notice) -> str:
    tail = f"  {notice.reason}" if notice.reason else ""
    at = notice.settled_at or notice.due_at
    return (
        f"{notice.number:>5}  {notice.state.value:<7}  {notice.channel:<7}  {at:%Y-%m-%d %H:%M}  {notice.title}{tail}"
    )
