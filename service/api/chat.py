"""Chat: a sentence in, events out as they come; confirming what was proposed; and what was said before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Response
from pydantic import StringConstraints

from domain.access import ApiAction, Caller
from domain.conversation import LONGEST
from service.access.guard import may
from service.api.blocking import bounded
from service.api.problems import Problem
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import SAID, Reply, Wish, YesNo
from service.chat.desk import Chat
from service.chat.events import ChatEvent

router = router_of("chat")
On = Annotated[Serving, Depends(serving)]
Talker = Annotated[Caller, Depends(may(ApiAction.CHAT))]
Talk = Annotated[str, Path(pattern=r"^ch_[0-9a-f]{16}$", examples=["ch_0123456789abcdef"])]
# As `service.api.shapes.Words`, and longer.
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST, pattern=SAID)]
Stream = Annotated[YesNo, Query(description="Events as they come, or, with `false`, all of them as JSON at the end.")]
HEARTBEAT = timedelta(seconds=15)
PATIENCE = timedelta(minutes=5)
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events, named said, cites, proposes, did, refused, asks_back and done; or JSON.",
        "content": {"text/event-stream": {"schema": {}}},
    }
}


class AskWish(Wish):
    """A sentence, and the conversation it belongs to; without one it begins one."""

    text: Sentence
    conversation_id: Annotated[str, StringConstraints(pattern=r"^(ch_[0-9a-f]{16})?$")] = ""


class ConfirmWish(Wish):
    """What is confirmed."""

    proposal_id: Annotated[str, StringConstraints(pattern=r"^pr_[0-9a-f]{24}$")]


class AnswerView(Reply):
    """An answer, whole."""

    events: list[dict[str, Any]]


class TalkView(Reply):
    """A conversation."""

    id: str
    opened_at: datetime


class TalksView(Reply):
    """The conversations of the caller, newest first."""

    conversations: list[TalkView]


class MessageView(Reply):
    """One thing that was said; `events` are those of an answer."""

    who: str
    text: str
    at: datetime
    events: list[dict[str, Any]]


class MessagesView(Reply):
    """What was said, oldest first."""

    conversation_id: str
    messages: list[MessageView]


@router.post("/chat", responses=_EVENTS, response_model=AnswerView)
@bounded(PATIENCE)
def ask(on: On, caller: Talker, wish: AskWish, stream: Stream = "true") -> Any:
    """Ask, or say what is wanted. An order is only ever proposed: an event `proposes` carries what to confirm."""
    return _answered(_desk(on).ask(caller, wish.conversation_id, wish.text), stream)


@router.post("/chat/{conversation_id}/confirm", responses=_EVENTS, response_model=AnswerView)
@bounded(PATIENCE)
def confirm(on: On, caller: Talker, conversation_id: Talk, wish: ConfirmWish, stream: Stream = "true") -> Any:
    """Confirm a proposal that was made to this caller in this conversation: it is carried out, once."""
    return _answered(_desk(on).confirm(caller, conversation_id, wish.proposal_id), stream)


@router.get("/chat")
@bounded()
def talks(on: On, caller: Talker, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> TalksView:
    """List the caller's conversations, newest first."""
    found = _desk(on).conversations(caller, limit=limit)
    return TalksView(conversations=[TalkView(id=talk.id, opened_at=talk.opened_at) for talk in found])


@router.get("/chat/{conversation_id}")
@bounded()
def talk(on: On, caller: Talker, conversation_id: Talk) -> MessagesView:
    """Show what was said in a conversation of the caller's."""
    said = _desk(on).conversation(conversation_id, caller)
    views = [MessageView(who=m.who, text=m.text, at=m.at, events=[dict(e) for e in m.events]) for m in said]
    return MessagesView(conversation_id=conversation_id, messages=views)


def _desk(on: Serving) -> Chat:
    if on.chat is None:
        raise Problem(503, "There is no chat", "this service was started without one", remedy="Use the REST API")
    return on.chat


def _answered(events: Iterator[ChatEvent], stream: YesNo) -> Any:
    if stream == "false":
        return AnswerView(events=[event.model_dump(mode="json") for event in events])
    return streamed(events)


def streamed(events: Iterator[ChatEvent]) -> Response:
    """Return events as they come, as server-sent events whose name is theirs."""
    from fastapi.concurrency import iterate_in_threadpool
    from sse_starlette.event import ServerSentEvent
    from sse_starlette.sse import EventSourceResponse

    async def told() -> AsyncIterator[ServerSentEvent]:
        number = 0
        async for event in iterate_in_threadpool(events):
            number += 1
            yield ServerSentEvent(data=event.model_dump_json(), event=event.event, id=str(number))

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(told(), ping=int(HEARTBEAT.total_seconds()), headers=headers)
