"""`evercrew chat`: talking to Evercrew at a terminal.

Whoever runs the command is known by the account of the operating system: an account of the service of the same name or
of the person it belongs to, with its roles. What changes something is shown back and asked for first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidInput
from service.choice import chosen

if TYPE_CHECKING:
    from domain.access import AccessRole, Caller
    from service.access.desk import Access
    from service.chat.desk import Chat
    from service.chat.events import ChatEvent, Proposes
    from service.wiring import App

_NO = 1
_BYE = frozenset({"exit", "quit", "bye", ":q"})
_ORCHESTRATORS = ("crewai", "autogen", "none")


def chat(
    sentence: Annotated[str, typer.Argument(help="What to ask or to have done; without it, a conversation.")] = "",
    config: Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON, one a line, for machines.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Confirm what is proposed, but never what cannot simply be taken back.")
    ] = False,
    orchestrator: Annotated[
        str, typer.Option(help="Who leads the specialists: crewai, autogen (an extra), or none.")
    ] = "crewai",
    target: Annotated[str, typer.Option(help="Which target; by default the first of the configuration.")] = "",
) -> None:
    """Ask in plain words, or say what is to be done; it is shown back before anything happens.

    Ends with 1 when it asked back, refused, or was not confirmed.
    """
    from service.cli import wired

    if orchestrator not in _ORCHESTRATORS:
        known = ", ".join(_ORCHESTRATORS)
        raise InvalidInput("orchestrator", f"{orchestrator!r} is none", f"Use one of: {known}")
    built = wired(config, workflow=False)
    try:
        talk = _Talk(built, chosen(built, target), orchestrator, as_json=as_json, yes=yes)
        well = talk.once(sentence) if sentence else talk.on()
    finally:
        built.close()
    raise typer.Exit(0 if well else _NO)


class _Talk:
    """One conversation at a terminal, about the target whose systems `there` is over."""

    def __init__(self, built: App, there: App, orchestrator: str, *, as_json: bool, yes: bool) -> None:
        from service.access.desk import access_of

        access = access_of(built.database, built.policies, built.settings, built.config, built.clock, built.audit)
        self._caller = caller_here(built, access)
        self._desk = _desk(there, access, orchestrator)
        self._conversation = ""
        self._as_json = as_json
        self._yes = yes

    def on(self) -> bool:
        """Talk until the end of input; whether the last answer was one."""
        if not self._as_json:
            typer.echo("Ask, or say what is to be done; `help` for examples, `exit` to leave.")
        well = True
        for line in self._lines():
            if line.strip().casefold() in _BYE:
                break
            if line.strip():
                well = self.once(line)
        return well

    def once(self, sentence: str) -> bool:
        """Ask one sentence, and confirm what is proposed where that is wanted; whether it was answered or done."""
        last = self._told(self._desk.ask(self._caller, self._conversation, sentence))
        proposed = last.get("proposes")
        if proposed is None or proposed.event != "proposes":
            return "refused" not in last and "asks_back" not in last
        if not self._confirms(proposed):
            self._say("Nothing was done.")
            return False
        done = self._told(self._desk.confirm(self._caller, self._conversation, proposed.proposal_id))
        return "refused" not in done

    def _lines(self) -> Iterator[str]:
        while True:
            if sys.stdin.isatty():
                typer.echo("> ", nl=False)
            line = sys.stdin.readline()
            if not line:
                return
            yield line

    def _told(self, events: Iterator[ChatEvent]) -> dict[str, ChatEvent]:
        """Show events as they come, and return the last of each kind."""
        last: dict[str, ChatEvent] = {}
        for event in events:
            last[event.event] = event
            if event.event == "done":
                self._conversation = event.conversation_id
            if self._as_json:
                typer.echo(event.model_dump_json())
            else:
                _show(event)
        return last

    def _confirms(self, proposed: Proposes) -> bool:
        if self._yes and not proposed.irreversible:
            return True
        if self._yes:
            self._say("--yes is not taken for what cannot simply be taken back.")
        if self._as_json or not sys.stdin.isatty():
            return False
        return typer.confirm("Do it?", default=False)

    def _say(self, text: str) -> None:
        if self._as_json:
            typer.echo(json.dumps({"event": "note", "text": text}))
        else:
            typer.echo(text)


def caller_here(built: App, access: Access) -> Caller:
    """Return who runs this process: the account of the service, and the person, that belong to it.

    Without an account the roles are those of the person in section `people`; somebody unknown may look and ask.
    """
    from domain.access import AccessRole, Caller
    from service.cli_approvals import account

    user = account()
    person = next((name for name, p in built.config.people.items() if user in p.os_users), None)
    known = access.accounts.account(person or user) or access.accounts.account(user)
    if known is not None and not known.disabled:
        return Caller(name=user, roles=known.roles, via="local", person=person)
    held = built.config.people[person].roles if person is not None and known is None else ()
    roles = frozenset({AccessRole.VIEWER, *_roles(held)})
    return Caller(name=user, roles=roles, via="local", person=person)


def _roles(held: tuple[str, ...] | list[str]) -> Iterator[AccessRole]:
    from domain.access import AccessRole

    known = {role.value: role for role in AccessRole}
    yield from (known[name] for name in held if name in known)


def _desk(built: App, access: Access, orchestrator: str) -> Chat:
    from service.chat.making import chat_desk_of

    match orchestrator:
        case "crewai":
            return chat_desk_of(built, access, orchestrator="crewai", runs_cycles=False)
        case "autogen":
            return chat_desk_of(built, access, orchestrator="autogen", runs_cycles=False)
        case _:
            return chat_desk_of(built, access, orchestrator=None, runs_cycles=False)


def _show(event: ChatEvent) -> None:
    match event.event:
        case "said":
            typer.echo(event.text)
        case "cites":
            typer.echo("  [" + "; ".join(f"{c.kind} {c.id}" for c in event.cites) + "]")
        case "proposes":
            typer.echo(f"I would {event.shown}.")
            typer.echo(f"  {event.proposal_id}, until {event.expires_at:%Y-%m-%d %H:%M} UTC")
        case "did":
            typer.echo(f"Done: {event.what}.")
        case "refused":
            remedy = f" {event.remedy}." if event.remedy else ""
            policies = f" [{', '.join(event.policies)}]" if event.policies else ""
            typer.echo(f"Refused: {event.reason}.{policies}{remedy}")
        case "asks_back":
            typer.echo(event.question)
            for option in event.options:
                typer.echo(f"- {option.said}")
        case _:
            return
