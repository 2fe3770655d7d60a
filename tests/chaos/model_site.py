"""The model endpoint: the crews ask it over the chat completions protocol, through the proxy.

Behind the stub sits the playbook, so that a sound endpoint answers well; the playbook that takes over when it is not
sound is the product's own. The protocol does not carry the name of a task: the adapter notes it for the stub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from adapters.llm.base import ChatMessage, ChatPort, ChatReply, ToolCall
from adapters.llm.openai import OpenAIChat
from cycles.engine import Engine
from cycles.taped_chat import TapedChat
from domain.actor import Role
from testbed.servers.proxy import Proxy
from tests.chaos.sites import NETWORK, Site, passes, stays
from tests.stubs.chat_server import CLAIM, ChatStub
from tests.support.office import Rig

ANSWER = timedelta(seconds=20)  # of the office's clock
ATTEMPT = timedelta(seconds=1)
Wire = Mapping[str, Any]


class Noted(OpenAIChat):
    """The adapter; `tasks` says which task a conversation is about, by its first message."""

    tasks: dict[str, str]

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        task: str,
        answer_schema: Mapping[str, Any] | None = None,
    ) -> ChatReply:
        """See `ChatPort.complete`."""
        self.tasks[messages[0].content] = task
        return super().complete(messages, tools, task=task, answer_schema=answer_schema)


class ModelSite(Site):
    """The endpoint; `claims success` is a model that says all is done, `garbage` one that says nothing of use."""

    name = "model endpoint"
    faults = (
        *stays("down", "down"),
        *passes("down", "reset"),
        *stays("slow", "black hole"),
        *stays("lying", "claims success", "garbage"),
    )
    stages = ("diagnose", "promote")

    def attach(self, rig: Rig) -> None:
        """See `Site.attach`."""
        from adapters.llm.breaker import CircuitBreaker, GuardedChat
        from agents.playbook import Playbook
        from agents.roster import default_roster
        from crews.judges import CrewJudges

        self._lie = ""
        self._tasks: dict[str, str] = {}
        stub = ChatStub(self._answered)
        port = int(stub.start().split(":")[2].split("/")[0])
        self.closing.callback(stub.stop)
        self._proxy: Proxy = self.proxy(("127.0.0.1", port))
        breaker = CircuitBreaker("model", rig.clock)

        def chat(role: Role) -> ChatPort:
            endpoint = Noted(
                model="model",
                api_key="key",
                clock=rig.clock,
                base_url=f"http://{self._proxy.address}/v1",
                timeout=ATTEMPT,
                deadline=ANSWER,
                attempts=1,
            )
            endpoint.tasks = self._tasks
            return TapedChat(GuardedChat(endpoint, Playbook(), breaker, lambda reason: None))

        judges = CrewJudges(rig.gate, default_roster(), chat, rig.office.observer, rig.office.traces, clock=rig.clock)
        rig.office = replace(rig.office, judges=judges)
        rig.engine = Engine(rig.office, rig.workflow)

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`."""
        if fault in NETWORK:
            self.weather(self._proxy, fault)
            return
        self._lie = {"claims success": CLAIM, "garbage": "Lorem ipsum"}[fault]
        self._healing.append(lambda: setattr(self, "_lie", ""))

    def _answered(self, messages: Sequence[Wire], tools: Sequence[Wire]) -> Wire:
        from agents.playbook import Playbook

        if self._lie:
            return {"content": self._lie}
        task = self._tasks[str(messages[0]["content"])]
        reply = Playbook().complete([_message(m) for m in messages], tools, task=task)
        if reply.tool_calls:
            return {"tool_calls": [{"name": c.name, "arguments": dict(c.arguments)} for c in reply.tool_calls]}
        return {"content": reply.text}


def _message(wire: Wire) -> ChatMessage:
    calls = tuple(
        ToolCall(id=c["id"], name=c["function"]["name"], arguments=json.loads(c["function"]["arguments"] or "{}"))
        for c in wire.get("tool_calls") or ()
    )
    return ChatMessage(
        role=str(wire["role"]),
        content=str(wire.get("content") or ""),
        tool_calls=calls,
        tool_call_id=str(wire.get("tool_call_id") or ""),
        name=str(wire.get("name") or ""),
    )
