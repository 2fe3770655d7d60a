"""`evercrew cycles replay` and `evercrew policy backtest`: the past once more, as it was or under other rules.

Neither builds an adapter of the world: they read the store, and the audit chain that vouches for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidInput
from service.progress import tracked, waiting

if TYPE_CHECKING:
    from adapters.audit.base import AuditPort
    from adapters.store.base import StorePort
    from cycles.backtest import Changed
    from cycles.replay import Replayed
    from policies.pdp import PolicyDecisionPoint
    from service.replaying import ChatOf, Other
    from service.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]
PolicyDir = Annotated[Path | None, typer.Option("--policy", help="A folder with another policy set.")]
GatesFile = Annotated[Path | None, typer.Option("--gates", help="A contract.yaml, or a part of one, with other gates.")]
_NO = 1
_SHOWN = 40


@dataclass(frozen=True)
class Records:
    """What the past is read from."""

    store: StorePort
    audit: AuditPort
    settings: Settings


@contextmanager
def records_of(config: Path | None) -> Iterator[Records]:
    """Open the store and the chain of a configuration, and nothing else."""
    from domain.clock import SystemClock
    from service.auditing import chain_of
    from service.config import load_config
    from service.database import database_of, store_of
    from service.settings import load

    settings = load()
    loaded = load_config(config or settings.config)
    with ExitStack() as closing:
        store = store_of(database_of(loaded, closing))
        chain = chain_of(loaded, SystemClock())
        closing.callback(chain.close)
        yield Records(store, chain, settings)


def replay(
    cycle_id: Annotated[str, typer.Argument(help="Identity of a cycle, e.g. si_2026_01_31_001.")],
    config: ConfigPath = None,
    policy: PolicyDir = None,
    gates: GatesFile = None,
    model: Annotated[str, typer.Option(help="Ask this model anew: `playbook`, or one of the endpoint.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write the decision log of the replay to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a cycle once more on its record, without network, and compare every decision, byte for byte.

    With --policy, --gates or --model: say where the decisions part. Ends with 1 when they do.
    """
    from cycles.decisions import log_text
    from service.replaying import Other
    from service.replays import replay_of

    other = Other(
        pdp=decision_point(policy) if policy else None,
        gates=_text(gates) if gates else None,
    )
    with records_of(config) as records:
        other = Other(other.pdp, other.gates, _chat(model, records.settings))
        found = replay_of(records.store, records.audit, cycle_id, other, waiting=waiting)
    if out is not None:
        _write(out, log_text(found.replayed))
    if as_json:
        typer.echo(json.dumps(_plain(found), indent=2))
    else:
        typer.echo("\n".join(told(found, other)))
    raise typer.Exit(0 if (found.same if other.strict else not found.partings) else _NO)


def told(found: Replayed, other: Other) -> list[str]:
    """Return what came of a replay, in lines."""
    from cycles.decisions import log_text, said
    from domain.canonical import sha256_text

    steps = len({line["step"] for line in found.recorded})
    lines = [f"{found.cycle_id}: {steps} steps, {len(found.recorded)} lines of decisions"]
    lines += [f"note: {note}" for note in found.notes]
    if not found.partings:
        what = "the same decisions, byte for byte" if other.strict else "no decision changes"
        return [*lines, f"{what} (sha256 {sha256_text(log_text(found.recorded))[:16]})"]
    lines.append(f"the decisions part at {found.partings[0]}")
    behind = [line for line in found.replayed if line["step"] >= found.partings[0].step]
    moves = [said(line) for line in behind if line["kind"] == "transition"]
    lines += [f"then: {move}" for move in moves]
    if found.beyond:
        lines.append(f"behind it the record does not tell {found.beyond}; what the world would have done is not known")
    return lines


def backtest(
    policy: PolicyDir = None,
    gates: GatesFile = None,
    last: Annotated[str, typer.Option(help="How far back, by when cycles were opened: 30d, 12h, P7D.")] = "30d",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Ask another policy set about every recorded decision: promotions it would have stopped, stops it would not make.

    With --gates, each cycle is also replayed under the other gates, to its first decision that changes.
    """
    from cycles.backtest import backtest as tested
    from domain.clock import SystemClock
    from service.backtesting import gates_changed, recorded_cycles

    if policy is None and gates is None:
        raise InvalidInput("policy", "nothing is exchanged", "Name a policy set with --policy, or gates with --gates")
    pdp, text = (decision_point(policy) if policy else None), (_text(gates) if gates else None)
    with records_of(config) as records:
        since = _since(SystemClock().now(), last)
        cycles, skipped = recorded_cycles(records.store, since)
        found = tested(tracked(cycles, "asking again"), pdp) if pdp is not None else None
        parted = gates_changed(records.store, cycles, text, pdp) if text is not None else ()
    if as_json:
        plain = {"cycles": len(cycles), "skipped": skipped, "policy_hash": pdp.policy_hash if pdp else None}
        policies = None if found is None else {**found.model_dump(mode="json"), **_groups(found.stopped, "stopped")}
        typer.echo(json.dumps({**plain, "policies": policies, "gates": parted}, indent=2))
        return
    typer.echo(f"{len(cycles)} cycles since {since:%Y-%m-%d %H:%M} UTC")
    for reason in skipped:
        typer.echo(f"not asked about: {reason}")
    if found is not None:
        typer.echo(f"{found.decisions} decisions asked about once more")
        for unasked in found.unasked[:1]:
            typer.echo(f"{len(found.unasked)} of them cannot be asked: {unasked}")
        _print("promotions it would have stopped", found.stopped)
        _print("stops it would have let through", found.let_through)
        _print("other decisions that change", found.others)
    if text is not None:
        typer.echo(f"cycles that the gates would have led elsewhere: {len(parted)}")
        for row in parted[:_SHOWN]:
            typer.echo(f"  {row['cycle_id']}  step {row['step']:<3} {row['stage']:<9} {row['then']}  ->  {row['now']}")


def decision_point(folder: Path) -> PolicyDecisionPoint:
    """Return the decision point of a folder.

    Raises:
        InvalidInput: there is no such folder. PolicySetBroken: its set cannot be loaded; nothing was asked of it.
    """
    from policies.pdp import PolicyDecisionPoint
    from service.policyset import PolicyFolder

    if not folder.is_dir():
        raise InvalidInput("policy", f"{folder} is no folder", "Name a folder with .cedar files and a .cedarschema")
    return PolicyDecisionPoint.from_files(PolicyFolder(folder).read())


def _print(title: str, changed: Sequence[Changed]) -> None:
    typer.echo(f"{title}: {len(changed)}")
    for one in changed[:_SHOWN]:
        typer.echo(f"  {one.said()}")
        typer.echo(f"    {one.why}")
    if len(changed) > _SHOWN:
        typer.echo(f"  ... and {len(changed) - _SHOWN} more (--json has all)")


def _groups(stopped: Sequence[Changed], name: str) -> dict[str, Any]:
    return {name: [f"{c.cycle_id}/{c.step}/{c.tool}" for c in stopped]}


def _plain(found: Replayed) -> dict[str, Any]:
    return {
        "cycle_id": found.cycle_id,
        "same": found.same,
        "lines": len(found.recorded),
        "partings": [vars(parting) for parting in found.partings],
        "notes": list(found.notes),
        "beyond": found.beyond,
        "replayed": list(found.replayed),
    }


def _write(out: Path, text: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise InvalidInput("out", f"cannot be written: {problem}", "Name a file this user may write") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InvalidInput("gates", f"cannot be read: {problem}", "Name a readable file") from problem


def _chat(model: str, settings: Settings) -> ChatOf | None:
    if not model:
        return None
    from agents.playbook import NAME
    from domain.clock import SystemClock
    from domain.events import nobody
    from service.models import chat_of

    if model == NAME:
        return chat_of(settings.model_copy(update={"openai_api_key": ""}), SystemClock(), nobody)[0]
    if not settings.openai_api_key:
        raise InvalidInput("model", f"{model} cannot be asked without a key", "Set OPENAI_API_KEY, or name `playbook`")
    return chat_of(settings.model_copy(update={"model": model}), SystemClock(), nobody)[0]


def _since(now: datetime, last: str) -> datetime:
    from policies.durations import parse_duration

    try:
        return now - parse_duration(last)
    except ValueError as problem:
        raise InvalidInput("last", str(problem), "Give a duration, e.g. 30d") from None
    except OverflowError:
        raise InvalidInput("last", f"{last!r} is before all dates", "Give a duration, e.g. 30d") from None
