"""The page of the chat: a conversation with its proposals. A script streams the answers; without one, forms do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from domain.access import ApiAction, Caller
from domain.conversation import Message
from domain.errors import InvalidInput
from service.access.guard import page
from service.api.problems import Problem
from service.api.serving import Serving, serving
from service.chat.desk import Chat
from service.chat.events import Done
from service.web.chat_view import (
    STARTERS,
    label_of,
    place_of,
    slots_of,
    states_of,
    title_of,
    turns_of,
)
from service.web.forms import Fault
from service.web.pages import page_router
from service.web.render import render

router = page_router()

Talker = Annotated[Caller, Depends(page(ApiAction.CHAT))]
MOST_EARLIER = 10
NOWHERE = "This service was started without a chat desk."


@dataclass(frozen=True)
class Earlier:
    """A conversation of before, by its first sentence."""

    id: str
    title: str
    at: datetime


@router.get("/chat")
def chat(request: Request, caller: Talker) -> Response:
    """Begin a conversation, or go on with one."""
    return _shown(request, serving(request), caller, "")


@router.get("/chat/{identity}")
def conversation(request: Request, identity: str, caller: Talker) -> Response:
    """Show a conversation."""
    return _shown(request, serving(request), caller, identity)


@router.post("/chat")
def ask(
    request: Request,
    caller: Talker,
    text: Annotated[str, Form()] = "",
    conversation: Annotated[str, Form()] = "",
) -> Response:
    """Answer a sentence and come back with the whole answer."""
    here = serving(request)
    try:
        events = list(_desk(here).ask(caller, conversation, text))
    except InvalidInput as problem:
        return _shown(request, here, caller, conversation, status=422, fault=Fault.of(problem).said, text=text)
    identity = next((event.conversation_id for event in events if isinstance(event, Done)), conversation)
    return RedirectResponse(f"/chat/{identity}" if identity else "/chat", status_code=303)


@router.post("/chat/{identity}/confirm")
def confirm(request: Request, identity: str, caller: Talker, proposal: Annotated[str, Form()] = "") -> Response:
    """Carry out what was proposed, and come back with what came of it."""
    here = serving(request)
    try:
        for _ in _desk(here).confirm(caller, identity, proposal):
            continue
    except InvalidInput as problem:
        return _shown(request, here, caller, identity, status=422, fault=Fault.of(problem).said)
    return RedirectResponse(f"/chat/{identity}", status_code=303)


def _desk(here: Serving) -> Chat:
    if here.chat is None:
        raise Problem(503, "There is no chat here", NOWHERE)
    return here.chat


def _shown(
    request: Request,
    here: Serving,
    caller: Caller,
    identity: str,
    *,
    status: int = 200,
    fault: str = "",
    text: str = "",
) -> Response:
    messages = _messages(here, caller, identity) if identity else ()
    return render(
        request,
        "chat.html",
        caller,
        active="chat",
        status=status,
        title="Chat",
        problem="" if here.chat is not None else NOWHERE,
        conversation=identity,
        turns=turns_of(messages),
        proposals=states_of(messages, here.clock.now()),
        earlier=_earlier(here, caller) if not identity else (),
        starters=STARTERS,
        fault=fault,
        text=text,
        place_of=place_of,
        label_of=label_of,
        slots_of=slots_of,
        title_of=title_of,
    )


def _messages(here: Serving, caller: Caller, identity: str) -> Sequence[Message]:
    try:
        return _desk(here).conversation(identity, caller)
    except InvalidInput as problem:
        raise Problem(
            404, "No such conversation", f"{problem.problem}.", remedy="Begin a new one at /chat"
        ) from problem


def _earlier(here: Serving, caller: Caller) -> list[Earlier]:
    if here.chat is None:
        return []
    found = []
    for talk in here.chat.conversations(caller, limit=MOST_EARLIER):
        first = next(iter(here.chat.conversation(talk.id, caller)), None)
        if first is not None:
            found.append(Earlier(talk.id, first.text, talk.opened_at))
    return found
