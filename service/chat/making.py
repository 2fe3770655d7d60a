"""Wiring of the chat: the vocabulary of a configuration, what understands, who works on it, where it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.operator.interpreter import Interpreter
from agents.operator.names import Vocabulary
from domain.actor import Role
from policies.flags import FEATURES
from service.chat.desk import ChatDesk, Guard
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
) -> ChatDesk:
    """Return the chat desk of an application.

    Args:
        orchestrator: who leads the specialists: ``crewai``, ``autogen``, or None for nobody.

    Raises:
        DependencyUnavailable: the orchestrator is not installed; names the extra.
    """
    from service.chat.listening import listener_of
    from service.chat.specialists import specialists_of

    interpreter = Interpreter(vocabulary_of(app))
    listener = listener_of(app, interpreter.vocabulary)
    specialists = specialists_of(app, orchestrator) if orchestrator is not None else None
    return ChatDesk(
        app,
        access,
        conversations or conversations_of(app),
        Understanding(interpreter, listener),
        specialists=specialists,
        runs_cycles=runs_cycles,
    )
