"""Wiring of the chat: the vocabulary of a configuration, what understands, who works on it, where it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.operator.interpreter import Interpreter
from agents.operator.names import Vocabulary
from domain.actor import Role
from policies.flags import FEATURES
from service.chat.desk import Chat, ChatDesk, Guard
from service.chat.several import SeveralDesks
from service.chat.understanding import Understanding

if TYPE_CHECKING:
    from adapters.conversations.base import ConversationsPort
    from service.chat.specialists import Orchestrator
    from service.wiring import App


def vocabulary_of(app: App) -> Vocabulary:
    """Return the names there are in an application."""
    return Vocabulary(
        home=app.config.environment,
        signals=tuple(app.contract.signals),
        gates=tuple(app.contract.quality_gates),
        flags=FEATURES,
        models=("reranker",),
        tools=tuple(tool.spec.name for tool in app.gate.registry),
        roles=tuple(role.value for role in Role),
    )


def conversations_of(app: App) -> ConversationsPort:
    """Return where conversations are kept: in the database of our own tables."""
    from adapters.conversations.sqlalchemy import SqlConversations

    return SqlConversations(app.database)


def chat_desk_of(
    app: App,
    access: Guard,
    *,
    conversations: ConversationsPort | None = None,
    orchestrator: Orchestrator | None = "crewai",
    runs_cycles: bool = True,
) -> Chat:
    """Return the chat of an application: its desk, or one for each of several targets.

    Args:
        orchestrator: who leads the specialists: ``crewai``, ``autogen``, or None for nobody.

    Raises:
        DependencyUnavailable: the orchestrator is not installed; names the extra.
    """
    kept = conversations or conversations_of(app)

    def desk(target: str) -> ChatDesk:
        return _desk(app.at(target), access, kept, orchestrator, runs_cycles=runs_cycles)

    first = desk(app.config.target)
    return SeveralDesks(first, app.targets, desk, kept) if len(app.targets) > 1 else first


def _desk(
    app: App, access: Guard, kept: ConversationsPort, orchestrator: Orchestrator | None, *, runs_cycles: bool
) -> ChatDesk:
    from service.chat.listening import listener_of
    from service.chat.specialists import specialists_of

    interpreter = Interpreter(vocabulary_of(app))
    listener = listener_of(app, interpreter.vocabulary)
    specialists = specialists_of(app, orchestrator) if orchestrator is not None else None
    return ChatDesk(
        app,
        access,
        kept,
        Understanding(interpreter, listener),
        specialists=specialists,
        runs_cycles=runs_cycles,
    )
