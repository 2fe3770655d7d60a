"""The command `evercrew`. Heavy imports happen in the commands that need them.

Exit codes: 0 done, 1 the answer is no, 2 misuse, 3 a dependency failed.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import EvercrewError, IntegrityError, InvalidInput
from service.cli_alerts import alerts
from service.cli_api import api
from service.cli_approvals import account, approvals
from service.cli_audit import audit
from service.cli_autonomy import autonomy
from service.cli_backup import backup
from service.cli_bench import bench
from service.cli_budget import budget
from service.cli_chat import chat
from service.cli_cycles import cycles
from service.cli_flags import flags, kill
from service.cli_gateway import gateway
from service.cli_init import init
from service.cli_mcp import mcp
from service.cli_notify import notify
from service.cli_overrides import overrides
from service.cli_policy import policy
from service.cli_report import report
from service.cli_rollback import roll_back
from service.cli_schedule import schedule
from service.cli_serve import serve
from service.cli_shape import Root, Whole, text_of
from service.cli_traces import traces
from service.cli_users import tokens, users
from service.cli_worker import inbox, worker
from service.progress import waiting

if TYPE_CHECKING:
    from service.demo_told import Stage
    from service.summary import DemoSummary
    from service.wiring import App

DONE, NO, MISUSE, DEPENDENCY = 0, 1, 2, 3

app = typer.Typer(
    name="evercrew",
    cls=Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cycles, name="cycles", cls=Whole)
app.add_typer(api, name="api", cls=Whole)
app.add_typer(approvals, name="approvals", cls=Whole)
app.add_typer(autonomy, name="autonomy", cls=Whole)
app.add_typer(kill, name="kill", cls=Whole)
app.add_typer(flags, name="flags", cls=Whole)
app.add_typer(policy, name="policy", cls=Whole)
app.add_typer(overrides, name="overrides", cls=Whole)
app.add_typer(schedule, name="schedule", cls=Whole)
app.add_typer(audit, name="audit", cls=Whole)
app.add_typer(users, name="users", cls=Whole)
app.add_typer(tokens, name="tokens", cls=Whole)
app.add_typer(backup, name="backup", cls=Whole)
app.add_typer(budget, name="budget", cls=Whole)
app.add_typer(bench, name="bench", cls=Whole)
app.add_typer(traces, name="traces", cls=Whole)
app.add_typer(inbox, name="inbox", cls=Whole)
app.add_typer(alerts, name="alerts", cls=Whole)
app.add_typer(notify, name="notify", cls=Whole)
app.add_typer(report, name="report", cls=Whole)
app.command("chat", epilog="Example: evercrew chat 'why did NDCG drop last night?'")(chat)
app.command("serve", epilog="Example: evercrew serve --config evercrew.yaml --port 8080")(serve)
app.command(
    "init",
    epilog="Example: evercrew init --platform http://search.example:8080 --prometheus http://prometheus.example:9090",
)(init)
app.command(
    "rollback", epilog="Example: evercrew rollback --to gold --by 'A. Person' --reason 'quality fell' --dry-run"
)(roll_back)
app.command("mcp", epilog="Example: EVERCREW_MCP_TOKEN=evc_... evercrew mcp --config evercrew.yaml")(mcp)
app.command("worker", epilog="Example: EVERCREW_EXECUTOR_ID=worker-2 evercrew worker --slots 8")(worker)
app.command("llm-studio-gateway", epilog="Example: evercrew llm-studio-gateway --port 8090")(gateway)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Version = Annotated[
    bool, typer.Option("--version", callback=lambda asked: _version(asked), is_eager=True, help="Print the version.")
]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]


@app.callback()
def evercrew(version: Version = False) -> None:
    """An autonomous crew that keeps a machine-learning platform healthy.

    Start with: evercrew demo
    """


def _version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        typer.echo(f"evercrew {metadata.version('evercrew')}")
        raise typer.Exit


def main() -> None:
    """Run the command and exit with its code."""
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        sys.exit(NO)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except Exception as problem:  # noqa: BLE001  the edge of the process: every error becomes a line and an exit code
        sys.exit(_failed(problem))
    sys.exit(code if isinstance(code, int) else DONE)


def _failed(problem: Exception) -> int:
    usage = getattr(problem, "format_message", None)
    if usage is not None:
        said = usage()
        typer.echo(said if said.startswith("Usage:") else f"evercrew: {said.rstrip('.')}.{_look(problem)}", err=True)
        return MISUSE
    if isinstance(problem, OSError) and problem.filename is not None:
        remedy = "Check that it is there, that this user may read and write it, and that the disk has room"
        typer.echo(f"evercrew: {problem.filename}: {problem.strerror}. {remedy}", err=True)
        return DEPENDENCY
    if not isinstance(problem, EvercrewError):
        raise problem
    typer.echo(f"evercrew: {problem}", err=True)
    if isinstance(problem, InvalidInput):
        return MISUSE
    return NO if isinstance(problem, IntegrityError) else DEPENDENCY


def _look(problem: Exception) -> str:
    """Return where to look up what a command takes."""
    context = getattr(problem, "ctx", None)
    return f" See `{context.command_path} --help`" if context is not None else ""


@app.command(epilog="Example: evercrew demo --fault bad_deploy --seed 2 --out artifacts/mine --json result.json")
def demo(
    fault: Annotated[
        str,
        typer.Option(
            help="corpus_shift, bad_deploy, label_corruption, latency, index_errors, cost_spike, recall_drop, "
            "etl_backlog, satisfaction_drop, noise or none."
        ),
    ] = "corpus_shift",
    seed: Annotated[int, typer.Option(help="Seed of corpus choice, users and clicks.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the run; an earlier demo in it is replaced.")] = Path(
        "artifacts/demo"
    ),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result as JSON to this file.")] = None,
    collection: Annotated[
        Path | None, typer.Option(help="A collection: docs.jsonl[.gz], queries.jsonl, qrels.tsv.")
    ] = None,
    documents: Annotated[int | None, typer.Option(help="Use so many documents (default: all).", min=500)] = None,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="Go through a real Prometheus server.")] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="With Prometheus, Alertmanager, git over HTTPS, S3, and a stand-in of Argo CD."),
    ] = False,
    rate: Annotated[float, typer.Option(help="Sessions of users a second.", min=1, max=500)] = 120.0,
) -> None:
    """Hurt a real small search platform and watch the crew heal it. Ends with 1 unless the outcome was verified."""
    from service.demo import DemoOptions, run
    from service.demo_told import as_json
    from service.settings import load
    from service.view import LiveView

    options = DemoOptions(
        fault=fault,
        seed=seed,
        out=out,
        documents=documents,
        collection=collection,
        prometheus=prometheus,
        full=full,
        rate=rate,
    )
    with LiveView(f"{fault}, seed {seed}") as view:
        summary, _, built = run(options, load(), view, on_told=_reported)
        built.close()
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(as_json(summary), encoding="utf-8")
    view.summary(summary)
    raise typer.Exit(DONE if summary.verified else NO)


def _reported(built: App, summary: DemoSummary, found: Stage) -> None:
    from service.reporting import report

    if found.cycle is not None:
        report(built, found.cycle, summary=summary, checks=found.checks, events=found.events)


@app.command(epilog="Example: evercrew run --alert alert.json --config evercrew.yaml")
def run(
    alert: Annotated[Path, typer.Option(help="A webhook body; - reads it from stdin.")],
    config: ConfigPath = None,
    as_json: AsJson = False,
    detach: Annotated[bool, typer.Option("--detach", help="Open the cycles and return.")] = False,
) -> None:
    """Take an alert about a configured platform and work it to its end.

    Ends with 1 unless every outcome was verified.
    """
    from cycles.approvals import note_opened
    from cycles.intake import take

    body = _body(alert)
    built = wired(config)
    try:
        taken = take(body, built.routing, built.ports.store, built.clock)
        for cycle in taken.opened:
            note_opened(built.ports.store, cycle.id, account())
        for cycle in (*taken.opened, *taken.joined):
            built.engine.start(cycle.id)
        ended = [] if detach else [_ended(built, cycle.id) for cycle in (*taken.opened, *taken.joined)]
    finally:
        built.close()
    rows = ended or [{"cycle_id": c.id, "new": c in taken.opened} for c in (*taken.opened, *taken.joined)]
    result = {"cycles": rows, "ignored": list(taken.ignored), "truncated": taken.truncated}
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        for row in rows:
            typer.echo("  ".join(f"{k} {v}" for k, v in row.items()))
        for reason in taken.ignored:
            typer.echo(f"ignored: {reason}")
    verified = all(row.get("verified", True) for row in ended)
    raise typer.Exit(DONE if (taken.opened or taken.joined) and verified else NO)


def _body(alert: Path) -> Any:
    try:
        return json.loads(text_of(alert, "alert"))
    except ValueError as problem:
        remedy = "Give the webhook body as the sender posts it"
        raise InvalidInput("alert", f"is not JSON: {problem}", remedy) from problem


def _ended(built: App, cycle_id: str) -> dict[str, Any]:
    from cycles.verify import verify
    from service.reporting import report

    cycle = built.engine.wait(cycle_id, timedelta(days=30))
    there = built.at(cycle.target)
    checks = verify(cycle_id, there.evidence())
    page, _ = report(there, cycle, checks=checks)
    outcome = cycle.outcome
    return {
        "cycle_id": cycle_id,
        "action": cycle.action.value if cycle.action else None,
        "outcome": outcome.value if outcome else cycle.stage.value,
        "verified": bool(outcome and outcome.verified) and all(check.ok for check in checks),
        "reason": cycle.reason,
        "report": str(page),
    }


@app.command(epilog="Example: evercrew doctor --config evercrew.yaml --json")
def doctor(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Check every connection and say how to mend it. Ends with 3 when one is broken."""
    from service.doctor import diagnosed
    from service.settings import load

    settings = load()
    with waiting("asking every system"):
        found = diagnosed(config or settings.config, settings)
    if as_json:
        typer.echo(json.dumps([check.model_dump() for check in found], indent=2))
    else:
        for check in found:
            typer.echo(f"{'ok    ' if check.ok else 'BROKEN'}  {check.name:<12} {check.detail}")
        broken = [check.name for check in found if not check.ok]
        if broken:
            typer.echo(f"{len(broken)} of {len(found)} are broken: {', '.join(broken)}", err=True)
    raise typer.Exit(DONE if all(check.ok for check in found) else DEPENDENCY)


def wired(config: Path | None, *, workflow: bool = True, slots: int | None = None) -> App:
    """Build the application from the configuration file."""
    from service.config import load_config
    from service.settings import load
    from service.wiring import build

    settings = load()
    return build(load_config(config or settings.config), settings, workflow=workflow, slots=slots)


if __name__ == "__main__":
    main()
