"""`evercrew users` and `evercrew tokens`: who may use the service, by whom shut out, and with which API tokens.

Whoever runs these commands has the database, so they ask nobody; every change is on the audit record with the account
of the operating system.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from adapters.accounts.base import Account, KeptToken
    from service.access.keeper import Keeper

users = typer.Typer(no_args_is_help=True, help="Let people and machines in, and shut them out.")
tokens = typer.Typer(no_args_is_help=True, help="Make, list and revoke API tokens.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]
Name = Annotated[str, typer.Argument(help="The name of an account.")]
Roles = Annotated[list[str], typer.Option("--role", help="viewer, operator, approver or admin; several may be given.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input; else one is made and printed.")
]


@users.command("add", epilog="Example: evercrew users add ann --role operator")
def add(
    name: Name,
    roles: Roles,
    machine: Annotated[bool, typer.Option("--machine", help="A machine: it signs in with a secret made here.")] = False,
    scopes: Annotated[
        list[str] | None, typer.Option("--scope", help="What tokens of a machine may be for at most, e.g. view.")
    ] = None,
    password_stdin: FromStdin = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Let somebody in, or a machine. The password is printed once, and kept nowhere."""
    from service.access.keeper import known_roles

    password = _password(password_stdin)
    with _keeper(config) as (keeper, by):
        account, secret = keeper.add(
            name, known_roles(roles), by=by, password=password, machine=machine, scopes=scopes or None
        )
    _tell(account, "" if password else secret, as_json)


@users.command("list", epilog="Example: evercrew users list --json")
def list_users(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """List who may use the service."""
    with _keeper(config) as (keeper, _by):
        found = [_row(account) for account in keeper.accounts.accounts()]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for row in found:
        state = "disabled" if row["disabled"] else row["kind"]
        typer.echo(f"{row['name']:<24}  {state:<8}  {', '.join(row['roles'])}")
    if not found:
        typer.echo("nobody; `evercrew serve` makes the first admin")


@users.command("roles", epilog="Example: evercrew users roles ann --role operator --role approver")
def set_roles(name: Name, roles: Roles, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Give other roles in place of those there are; they hold from the next request on."""
    from service.access.keeper import known_roles

    with _keeper(config) as (keeper, by):
        account = keeper.set_roles(name, known_roles(roles), by=by)
    _tell(account, "", as_json)


@users.command("password", epilog="Example: evercrew users password ann")
def set_password(
    name: Name, password_stdin: FromStdin = False, config: ConfigPath = None, as_json: AsJson = False
) -> None:
    """Set a password, or a machine's secret; sessions and tokens given out for the old one end."""
    password = _password(password_stdin)
    with _keeper(config) as (keeper, by):
        account, secret = keeper.set_password(name, password, by=by)
    _tell(account, "" if password else secret, as_json)


@users.command("disable", epilog="Example: evercrew users disable ann")
def disable(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Let them in again.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Shut somebody out, at once. Ends with 3 for the last admin."""
    with _keeper(config) as (keeper, by):
        account = keeper.disable(name, by=by, disabled=not undo)
    _tell(account, "", as_json)


@tokens.command("create", epilog="Example: evercrew tokens create ann --scope view --scope open_cycle --days 30")
def create(
    name: Name,
    scopes: Annotated[list[str], typer.Option("--scope", help="What it is for, e.g. view, open_cycle.")],
    label: Annotated[str, typer.Option(help="What it is called.")] = "",
    days: Annotated[
        float | None, typer.Option(min=1, max=3650, help="How long it lasts; default: access.api_token_days.")
    ] = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Make an API token of an account. It is printed once, and kept nowhere."""
    from adapters.accounts.base import no_such_account
    from domain.access import Caller
    from service.config import load_config
    from service.settings import load

    usual = load_config(config or load().config).access.api_token_days
    with _keeper(config) as (keeper, by):
        owner = keeper.accounts.account(name)
        if owner is None:
            raise no_such_account(name)
        caller = Caller(name=by, roles=owner.roles, via="local")
        kept, text = keeper.give_token(owner, label, scopes, timedelta(days=usual if days is None else days), by=caller)
    row = {"token": text, **_token(kept)}
    typer.echo(json.dumps(row, indent=2) if as_json else f"{text}\n{kept.id} of {owner.name}, until {kept.expires_at}")


@tokens.command("list", epilog="Example: evercrew tokens list ann --json")
def list_tokens(
    name: Annotated[str, typer.Argument(help="Of this account; default: of all.")] = "",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """List API tokens, newest first; never their text."""
    with _keeper(config) as (keeper, _by):
        found = [_token(kept) for kept in keeper.accounts.tokens(name)]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for row in found:
        state = "revoked" if row["revoked_at"] else f"until {row['expires_at']}"
        typer.echo(f"{row['id']}  {row['account']:<20}  {state:<32}  {','.join(row['scopes'])}  {row['label']}")
    if not found:
        typer.echo("no tokens")


@tokens.command("revoke", epilog="Example: evercrew tokens revoke 3f2a9c0b11de")
def revoke(
    identity: Annotated[str, typer.Argument(help="Identity of a token, as `evercrew tokens list` has it.")],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """End an API token, at once."""
    from adapters.accounts.base import no_such_token

    with _keeper(config) as (keeper, by):
        found = keeper.accounts.token_of(identity)
        if found is None:
            raise no_such_token(identity)
        ended = _token(keeper.revoke_token(found, by=by))
    typer.echo(json.dumps(ended, indent=2) if as_json else f"{identity} of {ended['account']} is revoked")


@tokens.command("rotate-key", epilog="Example: evercrew tokens rotate-key")
def rotate_key(
    leaked: Annotated[
        bool, typer.Option("--leaked", help="Somebody else may have the key: all signed tokens end at once.")
    ] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Let another key sign tokens. Those of the present one are taken until the last of them is over.

    The key is the one in the folder of `state`, and processes that run there see it. Ends with 3 while there is a key
    before the present one.
    """
    from adapters.accounts.keys import SETTING, SETTING_PREVIOUS
    from domain.clock import SystemClock
    from service.access.rotation import rotate
    from service.auditing import audit_of
    from service.cli_approvals import account
    from service.config import load_config
    from service.settings import load

    settings = load()
    if settings.access_key:
        remedy = f"Set {SETTING} to the new key, {SETTING_PREVIOUS} to the old one, and start every process anew"
        raise InvalidInput(SETTING, "the key is given by it, and is not ours to change", remedy)
    if leaked and settings.access_key_previous:
        remedy = f"Take {SETTING_PREVIOUS} out of the settings of every process, start them anew, and repeat this"
        raise InvalidInput(SETTING_PREVIOUS, "a key that is given by it stays valid whatever leaked", remedy)
    loaded = load_config(config or settings.config)
    lasts = None if leaked else timedelta(minutes=loaded.access.token_minutes)
    clock = SystemClock()
    with ExitStack() as closing:
        audit = audit_of(loaded, clock, closing, key=settings.audit_key)
        done = rotate(audit, clock, loaded.state, lasts, by=account())
    if as_json:
        typer.echo(done.model_dump_json(indent=2))
        return
    end = f"are taken until {done.old_until:%Y-%m-%d %H:%M:%S} UTC" if done.old_until else "are not taken any more"
    typer.echo(f"{done.new} signs now; tokens of {done.old} {end}")


@contextmanager
def _keeper(config: Path | None) -> Iterator[tuple[Keeper, str]]:
    """Open the accounts of a configuration and its audit chain, and nothing else; give who runs this, too."""
    from adapters.accounts.passwords import Passwords
    from domain.clock import SystemClock
    from service.access.keeper import Keeper
    from service.auditing import audit_of
    from service.cli_approvals import account
    from service.config import load_config
    from service.database import database_of
    from service.settings import load
    from service.vendors import accounts_of

    settings = load()
    loaded = load_config(config or settings.config)
    clock = SystemClock()
    with ExitStack() as closing:
        audit = audit_of(loaded, clock, closing, key=settings.audit_key)
        accounts = accounts_of(database_of(loaded, closing))
        yield Keeper(accounts, audit, clock, Passwords()), account()


def _password(from_stdin: bool) -> str:
    if not from_stdin:
        return ""
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise InvalidInput("password", "standard input holds none", "Pipe it in, or leave --password-stdin out")
    return given


def _tell(account: Account, secret: str, as_json: bool) -> None:
    row = {**_row(account), **({"secret": secret} if secret else {})}
    if as_json:
        typer.echo(json.dumps(row, indent=2))
        return
    state = "  disabled" if account.disabled else ""
    typer.echo(f"{account.name}  {account.kind.value}  {', '.join(row['roles'])}{state}")
    if secret:
        typer.echo(f"secret (shown once): {secret}")


def _row(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "kind": account.kind.value,
        "roles": sorted(role.value for role in account.roles),
        "scopes": None if account.scopes is None else sorted(account.scopes),
        "disabled": account.disabled,
        "created_at": account.created_at.isoformat(),
        "created_by": account.created_by,
    }


def _token(kept: KeptToken) -> dict[str, Any]:
    return {**kept.model_dump(mode="json", exclude={"digest"}), "scopes": sorted(kept.scopes)}
