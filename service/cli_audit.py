"""`evercrew audit`: proving the chain, handing it to others, watching it, and its keys."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidInput
from service.progress import waiting

if TYPE_CHECKING:
    from adapters.audit.base import Anchor, Link
    from adapters.audit.keys import Keyring
    from adapters.audit.signed import SignedAudit
    from domain.clock import Clock
    from service.config import Config
    from service.settings import Settings

audit = typer.Typer(no_args_is_help=True, help="Verify, export and watch the audit chain; rotate and show its keys.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]
_DONE, _NO = 0, 1
_PAUSE = timedelta(seconds=0.5)


@dataclass(frozen=True)
class _Opened:
    config: Config
    settings: Settings
    clock: Clock
    chain: SignedAudit


@contextmanager
def _opened(path: Path | None) -> Iterator[_Opened]:
    """Open the chain and nothing else: it can be verified while everything around it is down."""
    from contextlib import ExitStack

    from domain.clock import SystemClock
    from service.auditing import audit_of
    from service.config import load_config
    from service.settings import load

    settings, clock = load(), SystemClock()
    config = load_config(path or settings.config)
    with ExitStack() as closing:
        yield _Opened(config, settings, clock, audit_of(config, clock, closing, key=settings.audit_key))


@audit.command("verify", epilog="Example: evercrew audit verify --key $(cat auditor-key.hex) --json")
def verify(
    config: ConfigPath = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="Trust this public key only (hexadecimal digits, or a PEM file); may be repeated."),
    ] = None,
    elsewhere: Annotated[
        bool, typer.Option(help="Compare with what commits and backups have seen of the chain.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Walk the whole chain: hashes, order, signatures, and what others have seen of it.

    Ends with 1 and names the first bad record and why, when one was changed, removed, reordered or cut off.
    """
    from service.chain_proof import proved

    with _opened(config) as opened:
        seen, told = _elsewhere(opened) if elsewhere else ([], {"elsewhere": "not asked"})
        trusted = _trusted(key) if key else None
        with waiting("walking the chain"):
            found = proved(opened.chain, seen, trusted=trusted)
        result = {**found.model_dump(exclude_unset=True), **(told if found.records is not None else {})}
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            typer.echo(f"{name.replace('_', ' '):<12} {_told(value)}")
    raise typer.Exit(_DONE if result["verified"] else _NO)


def _told(value: object) -> object:
    """Return a fact of the proof as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {each}" for name, each in value.items()) or "none"
    return value


def _elsewhere(opened: _Opened) -> tuple[list[Anchor], dict[str, str]]:
    from contextlib import ExitStack

    from domain.permit import PermitOffice
    from service.auditing import seen_elsewhere
    from service.site import Site
    from service.systems import vcs_of

    with ExitStack() as closing:
        config, settings, clock = opened.config, opened.settings, opened.clock
        sites = {
            target: Site(config.at(target), settings.at(target), PermitOffice(clock), clock, closing)
            for target in config.every_target
        }
        return seen_elsewhere(config, clock, lambda target: vcs_of(sites[target]))


def _trusted(given: Sequence[str]) -> dict[str, str]:
    from adapters.audit.signing import key_id

    return {key_id(public): public for public in (_public(text, "key") for text in given)}


def _public(given: str, field: str) -> str:
    """Return the public half of a key given as digits or as a file."""
    from adapters.audit.signing import public_of

    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else given
    except (OSError, ValueError) as problem:
        raise InvalidInput(field, f"cannot be read: {problem}", "Name a PEM this user may read") from problem
    return public_of(text, field=field)


@audit.command("export", epilog="Example: evercrew audit export --out audit.jsonl --with-verifier")
def export_chain(
    out: Annotated[Path, typer.Option(help="The file to write.")],
    config: ConfigPath = None,
    cycle: Annotated[str | None, typer.Option(help="Only the part of the chain with this cycle.")] = None,
    with_verifier: Annotated[
        bool, typer.Option("--with-verifier", help="Put the stand-alone verifier beside it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the chain as lines a third party can verify with the public key and nothing of ours."""
    from adapters.audit.export import export
    from adapters.audit.export import with_verifier as verifier_in

    with _opened(config) as opened:
        with waiting(f"writing {out.name}"):
            done = export(opened.chain, opened.clock, out, cycle)
        public = opened.chain.keys.ring().public[done.key]
    beside = verifier_in(out.resolve().parent) if with_verifier else None
    if as_json:
        verifier = str(beside) if beside else None
        typer.echo(json.dumps({**done.model_dump(), "public": public, "out": str(out), "verifier": verifier}, indent=2))
        return
    typer.echo(f"wrote records {done.first} to {done.last} ({done.scope}) to {out}, signed by key {done.key}")
    if beside is not None:
        script, file = (shlex.quote(str(path)) for path in (out.parent / beside.name, out))
        typer.echo(f"verify with: python -I {script} {file} {public}")


@audit.command("tail", epilog="Example: evercrew audit tail -n 50 --follow")
def tail(
    config: ConfigPath = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="So many of the newest records.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with records as they are written.")] = False,
    cycle: Annotated[str | None, typer.Option(help="Only records of this cycle.")] = None,
    seconds: Annotated[float | None, typer.Option("--for", help="Follow for so many seconds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest records, and those that follow."""
    with _opened(config) as opened:
        chain, clock = opened.chain, opened.clock
        last = chain.head().records
        if cycle is None:
            shown = list(chain.links(max(last - lines, 0)))[:lines]
        else:
            shown = _links_of(chain, cycle)[-lines:] if lines else []
        _show(shown, as_json)
        if not shown and lines and not as_json:
            typer.echo("no records" if cycle is None else f"no records of {cycle}")
        until = None if seconds is None else clock.monotonic() + seconds
        while follow and (until is None or clock.monotonic() < until):
            for link in chain.links(last):
                last = link.sequence
                if cycle in (None, link.cycle_id):
                    _show([link], as_json)
            clock.sleep(_PAUSE)


def _links_of(chain: SignedAudit, cycle: str) -> list[Link]:
    from adapters.audit.walk import link_of

    return [link_of(record) for record in chain.records(cycle)]


def _show(links: Sequence[Link], as_json: bool) -> None:
    from adapters.audit.walk import record_of

    for link in links:
        if as_json:
            typer.echo(f'{{"hash":"{link.hash}","record":{link.text}}}')
            continue
        record = record_of(link)
        entry = record.entry
        what = f"{entry.kind.value:<10} {entry.cycle_id:<18} {entry.stage:<9} {entry.tool:<22} {entry.status}"
        typer.echo(f"{record.sequence:>7} {record.at:%Y-%m-%d %H:%M:%S} {what} {entry.actor}".rstrip())


@audit.command("checkpoint", epilog="Example: evercrew audit checkpoint --json")
def checkpoint(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Sign the chain as it stands, and write `audit.head` anew."""
    with _opened(config) as opened:
        record = opened.chain.checkpoint()
    body = dict(record.entry.body)
    if as_json:
        typer.echo(json.dumps({"record": record.sequence, **body}, indent=2))
        return
    typer.echo(f"record {record.sequence} vouches for {body['count']} records, signed by key {body['key']}")


@audit.command("rotate", epilog="Example: evercrew audit rotate --to next-key.pem")
def rotate(
    config: ConfigPath = None,
    to: Annotated[
        str | None, typer.Option(help="The next key: a PEM, public or private, or its digits. Default: one is made.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hand the chain over to another key: the present one signs its name."""
    from adapters.audit.signing import key_id

    with _opened(config) as opened:
        keys = opened.chain.keys
        public = _public(to, "to") if to else keys.prepare().public
        record = opened.chain.rotate(public)
        source = keys.source
    old, new = str(record.entry.body["key"]), key_id(public)
    if as_json:
        typer.echo(json.dumps({"record": record.sequence, "old": old, "new": new, "public": public}, indent=2))
        return
    typer.echo(f"record {record.sequence}: key {old} handed over to {new}")
    if to:
        typer.echo(f"now give the service that key: the one at hand is {source}")


@audit.command("keys", epilog="Example: evercrew audit keys --json")
def keys(
    config: ConfigPath = None,
    trust: Annotated[
        str | None, typer.Option(help="Trust this public key as well: what a chain goes on with when a key was lost.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the public keys, and which one signs."""
    from adapters.audit.signing import public_pem

    with _opened(config) as opened:
        held = opened.chain.keys
        if trust is not None:
            held.keep(held.ring().trusting(_public(trust, "trust")))
        mine = held.current()
        ring, source = held.ring(), held.source
        try:
            said = opened.chain.signer()
        except InvalidInput as problem:
            said = f"signs nothing: {problem}"
    known = {**ring.public, mine.id: mine.public}
    rows = [
        {"key": name, "public": public, "role": _role(ring, public), "at_hand": public == mine.public}
        for name, public in known.items()
    ]
    if as_json:
        pems = [{**row, "pem": public_pem(str(row["public"]))} for row in rows]
        typer.echo(json.dumps({"source": source, "state": said, "keys": pems}, indent=2))
        return
    typer.echo(said)
    for row in rows:
        typer.echo(f"{row['key']}  {row['public']}  {row['role']}{', at hand' if row['at_hand'] else ''}")


def _role(ring: Keyring, public: str) -> str:
    if public in ring.roots:
        return "root"
    return "handed over to" if public in ring.others else "not trusted"
