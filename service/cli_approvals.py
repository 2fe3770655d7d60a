"""`evercrew approvals`: what waits for people, what they decide by, and their word.

Whoever runs the command is known by the account of the operating system, or signs with a key: see docs/approvals.md.
"""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import ConflictError, InvalidInput

if TYPE_CHECKING:
    from cycles.dossier import Dossier
    from domain.approval import ApprovalRequest, VoteAnswer
    from service.wiring import App

approvals = typer.Typer(no_args_is_help=True, help="List, show, approve and deny what waits for people.")

Identity = Annotated[str, typer.Argument(help="Identity of a request, or its first characters, e.g. ap_3f2a.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]
Who = Annotated[str, typer.Option("--as", help="Who decides: a name of section `people`.")]
Key = Annotated[Path | None, typer.Option("--key", help="The private key that signs the vote (Ed25519).")]
_NO = 1


def account() -> str:
    """Return the account this process runs under, as the operating system knows it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _built(config: Path | None) -> App:
    from service.cli import wired

    return wired(config, workflow=False)


@approvals.command("list", epilog="Example: evercrew approvals list --json")
def list_requests(
    config: ConfigPath = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are decided, used or over.")] = False,
    cycle: Annotated[str, typer.Option(help="Only those of a cycle.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what waits for people, newest first."""
    built = _built(config)
    try:
        now = built.clock.now()
        at = None if everything else now
        found = built.office.consent.store.requests(cycle_id=cycle, waiting_at=at, limit=limit)
        rows = [_row(request, built) for request in found]
    finally:
        built.close()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        have = f"{row['have']} of {row['quorum']}"
        typer.echo(f"{row['id']}  {row['state']:<9}  {row['tool']:<20}  {row['cycle_id']}  {have}  {row['expires_at']}")
    if not rows:
        typer.echo("nothing waits for anybody")


@approvals.command("show", epilog="Example: evercrew approvals show ap_3f2a")
def show(identity: Identity, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Show the change that will be made, the evidence, the price, and who has said what."""
    from service.choice import dossier_of

    built = _built(config)
    try:
        request = _found(built, identity)
        found = dossier_of(built, request)
    finally:
        built.close()
    if as_json:
        typer.echo(json.dumps({"id": found.request.id, **found.model_dump(mode="json")}, indent=2))
        return
    for line in told(found):
        typer.echo(line)


@approvals.command("approve", epilog="Example: evercrew approvals approve ap_3f2a --as 'A. Person'")
def approve(
    identity: Identity,
    who: Who,
    reason: Annotated[str, typer.Option(help="Why; it is on record.")] = "",
    key: Key = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Allow exactly this call, once. Ends with 1 when this person may not, or it is too late."""
    from domain.approval import VoteAnswer

    _vote(identity, who, VoteAnswer.APPROVE, reason, key, config, as_json=as_json)


@approvals.command(
    "deny", epilog="Example: evercrew approvals deny ap_3f2a --as 'A. Person' --reason 'wait for Monday'"
)
def deny(
    identity: Identity,
    who: Who,
    reason: Annotated[str, typer.Option(help="Why; the crew reads it.")],
    key: Key = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Refuse this call: its cycle ends without it. Ends with 1 when this person may not, or it is too late."""
    from domain.approval import VoteAnswer

    _vote(identity, who, VoteAnswer.DENY, reason, key, config, as_json=as_json)


def _vote(
    identity: str, who: str, answer: VoteAnswer, reason: str, key: Path | None, config: Path | None, *, as_json: bool
) -> None:
    from service.choice import dossier_of

    private = private_key(key)
    built = _built(config)
    try:
        request = _found(built, identity)
        seen = dossier_of(built, request).seen
        ballots = built.office.consent.ballots
        after = ballots.vote(request.id, who, answer, reason, account=account(), key=private, seen=seen)
        row = _row(after, built)
    except ConflictError as problem:
        typer.echo(f"evercrew: {problem}", err=True)
        raise typer.Exit(_NO) from problem
    finally:
        built.close()
    typer.echo(
        json.dumps(row, indent=2) if as_json else f"{row['id']} is {row['state']}: {row['have']} of {row['quorum']}"
    )


def private_key(key: Path | None) -> bytes | None:
    """Return what stands in the file of a key.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return None if key is None else key.read_bytes()
    except OSError as problem:
        raise InvalidInput("key", f"cannot be read: {problem}", "Name the file of a private key") from problem


def _found(built: App, identity: str) -> ApprovalRequest:
    store = built.office.consent.store
    exact = store.request(identity)
    if exact is not None:
        return exact
    close = [r for r in store.requests(limit=1000) if len(identity) > len("ap_") and r.id.startswith(identity)]
    if len(close) != 1:
        problem = (
            f"{identity} is the beginning of {len(close)} requests" if close else f"there is no request {identity}"
        )
        raise InvalidInput("approval", problem, "See `evercrew approvals list --all`")
    return close[0]


def _row(request: ApprovalRequest, built: App) -> dict[str, Any]:
    from service.approval_facts import ApprovalRow

    row = ApprovalRow.of_request(request, built.clock.now()).model_dump(mode="json")
    return {**row, "quorum": str(request.binding.quorum)}


def told(found: Dossier) -> list[str]:
    """Return the dossier as lines for a terminal."""
    request, bound = found.request, found.request.binding
    lines = [
        f"{request.id} is {found.state.value}",
        f"call        {bound.tool} in {bound.stage} of {bound.cycle_id}, on {bound.target} in {bound.environment}",
        f"arguments   {json.dumps(dict(request.args), sort_keys=True)}",
        f"            {bound.args_hash}",
        f"proposed by {', '.join(request.proposers)}",
        f"escalated   {request.reason}",
        f"policies    {', '.join(request.policies) or '-'} of set {bound.policy_hash[:16] or '-'}",
        f"to decide   {bound.quorum}, until {request.expires_at:%Y-%m-%d %H:%M:%S} UTC",
        f"signal      {found.signal or '-'}",
        f"diagnosis   {found.diagnosis or '-'}",
        f"price       {_money(found)}",
    ]
    for vote in request.votes:
        weight = "" if vote.answer.value == "deny" or vote.person in found.counting else " (does not count)"
        said = f" {vote.reason}" if vote.reason else ""
        lines.append(
            f"vote        {vote.person}: {vote.answer.value}{weight} [{vote.proof.how} {vote.proof.who}]{said}"
        )
    for judged in found.judged:
        lines.append(
            f"verdict     {judged.artifact}: {judged.name}: {judged.verdict}: {judged.reason}{_figures(judged.figures)}"
        )
    lines += [f"similar     {passage}" for passage in found.similar]
    lines += [f"MISSING     {what}" for what in found.missing]
    return [*lines, "", *(found.diff.splitlines() or ["no change of the values file"])]


def _money(found: Dossier) -> str:
    from cycles.dossier import usd_of

    price = found.price
    more = [f"{price.gpu_seconds} s of GPU"] if price.gpu_seconds else []
    more += [f"{price.tokens} tokens"] if price.tokens else []
    spent = f"spent so far {found.spent_usd:.4f} USD, {found.spent_tokens} tokens"
    return "; ".join([", ".join([f"at most {usd_of(price):.4f} USD", *more]), spent])


def _figures(figures: Any) -> str:
    known = {name: value for name, value in dict(figures).items() if value is not None}
    parts = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in known.items())
    return f" [{', '.join(parts)}]" if known else ""
