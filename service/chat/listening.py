"""A model that understands what the playbook does not, where one is configured: a LangChain agent with retrieval.

It is shown passages about past cycles, their evidence and the runbooks, marked as untrusted; it holds read tools behind
the same belt and door as the crews, and one tool to say which typed intent a sentence is. It has no other way to act.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from adapters.llm.base import AgentAnswer, AgentPort, AgentTool, ChatMessage
from agents.operator.names import Vocabulary
from agents.operator.reading import Reading
from domain.actor import Actor, Role
from domain.budget import Amounts, usd
from domain.conversation import Conversation, Message
from domain.errors import EvercrewError, InvalidInput
from domain.intent import Intent, Kind, intent_of
from domain.untrusted import Untrusted, one_line
from prompts.library import render
from service.chat.events import ChatEvent, Cite, Cites, Said
from service.chat.figures import identities, kept
from service.chat.told import diagnosis_of, reading_line
from service.chat.understanding import Heed, Listener
from tools.purse import ASK
from tools.tool import Scope

if TYPE_CHECKING:
    from agents.toolbelt import Belt
    from service.models import Paying
    from service.wiring import App

READS = (
    "similar_cycles",
    "signal_snapshot",
    "anomaly_check",
    "metric_query",
    "deployment_history",
    "runtime_state",
    "registry_read",
    "drift_report",
    "data_quality_report",
)
UNDERSTOOD = "understood_as"
_CALLS, _PASSAGES, _BEFORE = 8, 5, 6
_LONGEST = 4000


def listener_of(app: App, vocabulary: Vocabulary) -> Listener | None:
    """Return the model, or None without a key."""
    from service.models import paying_of

    settings = app.settings
    if not settings.openai_api_key:
        return None
    from adapters.llm.langchain_agent import LangChainAgent

    agent = LangChainAgent(
        model=settings.model,
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url,
        timeout=timedelta(seconds=settings.model_timeout_s),
        usd_per_1m_tokens=settings.model_usd_per_1m_tokens,
    )
    purse = app.office.purse
    paying = paying_of(settings, app.profile, purse) if purse is not None else None
    return ModelListener(app, agent, vocabulary, paying)


class ModelListener:
    """A `Listener` on an agent loop."""

    def __init__(self, app: App, agent: AgentPort, vocabulary: Vocabulary, paying: Paying | None = None) -> None:
        self._app = app
        self._agent = agent
        self._vocabulary = vocabulary
        self._paying = paying

    def heed(self, text: str, talk: Conversation, before: Sequence[Message], reading: Reading) -> Heed:
        """See `Listener.heed`."""
        from agents.toolbelt import Belt

        scope = self._scope(talk)
        registered = [name for name in READS if name in self._app.gate.registry]
        belt = Belt(self._app.gate, Actor(role=Role.SUPERVISOR, via="agent"), scope, registered, limit=_CALLS)
        passages = self._passages(text)
        noted = _Noted(self._vocabulary)
        system = render("operator_chat/system.md", max_calls=_CALLS, passages="\n\n".join(passages) or "none").text
        tools = [*_reading(belt), noted.tool()]
        try:
            answer = self._paid(talk, before, scope, lambda: self._agent.answer(system, _said(text, before), tools))
        except EvercrewError as problem:
            return Heed(problem=one_line(str(problem), 300), models=(self._agent.name,))
        finally:
            belt.close()
        heed = Heed(models=(answer.model,), tokens=answer.tokens, cost_usd=answer.cost_usd)
        if noted.intent is not None:
            return replace(heed, intent=noted.intent)
        evidence = [text, *passages, *(json.dumps(held["answer"]) for held in belt.held)]
        return replace(heed, events=self._told(answer, evidence, belt, talk))

    def _paid(self, talk: Conversation, before: Sequence[Message], scope: Scope, work: Any) -> AgentAnswer:
        """Set aside what an answer may cost, and settle what it did."""
        if self._paying is None:
            answer: AgentAnswer = work()
            return answer
        key = f"{ASK}{talk.id}/chat/{len(before)}-{self._app.clock.now():%H%M%S%f}"
        tokens = self._paying.tokens
        price = usd(tokens * self._paying.usd_per_token).plus(Amounts(tokens=tokens))
        self._paying.budget.reserve(key, scope, price)
        spent = price
        try:
            answer = work()
            spent = usd(answer.cost_usd).plus(Amounts(tokens=answer.tokens))
            return answer
        finally:
            self._paying.budget.settle(key, spent)

    def _told(
        self, answer: AgentAnswer, evidence: Sequence[str], belt: Belt, talk: Conversation
    ) -> tuple[ChatEvent, ...]:
        sentences, dropped = kept(answer.text[:_LONGEST], evidence, self._resolves)
        events: list[ChatEvent] = [Said(text=one_line(sentence, 600)) for sentence in sentences]
        if dropped:
            events.append(Said(text=f"{dropped} sentences were left out: no tool and no record gave what they said."))
        if not sentences:
            events.append(Said(text="That is not known."))
        cites = [Cite(kind="call", id=call, of=talk.id) for call in dict.fromkeys(belt.calls)]
        named = [identity for sentence in sentences for identity in identities(sentence)]
        cites += [
            Cite(kind="cycle" if name.startswith("si_") else "approval", id=name) for name in dict.fromkeys(named)
        ]
        return (*events, Cites(cites=tuple(cites))) if cites else tuple(events)

    def _resolves(self, identity: str) -> bool:
        app = self._app
        if identity.startswith("si_"):
            return app.ports.store.cycle(identity) is not None
        return app.office.consent.store.request(identity) is not None

    def _passages(self, text: str) -> list[str]:
        """Return what past cycles, their evidence and the runbooks say that is near to the sentence, marked."""
        app = self._app
        found = []
        for passage in app.ports.retrieval.similar(text, _PASSAGES):
            cycle = app.ports.store.cycle(passage.id) if passage.id.startswith("si_") else None
            more = ""
            if cycle is not None:
                claims = diagnosis_of(cycle).get("claims", ())
                more = "\n".join([reading_line(cycle), *(str(c.get("statement", "")) for c in claims)])
            whole = f"{passage.id}: {passage.text}\n{more}".strip()
            found.append(Untrusted(text=whole, source=f"memory {passage.id}").block())
        return found

    def _scope(self, talk: Conversation) -> Scope:
        config, now = self._app.config, self._app.clock.now()
        return Scope(
            cycle_id=talk.id,
            stage="chat",
            target=config.target,
            environment=config.environment,
            alert_at=now,
            opened_at=now,
        )


class _Noted:
    """The tool by which a model says which intent a sentence is; the last that fits counts."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.intent: Intent | None = None

    def tool(self) -> AgentTool:
        """Return it as the agent holds it."""
        schema = {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "enum": [kind.value for kind in Kind]},
                "slots": {"type": "object", "description": self._slots()},
            },
            "required": ["kind"],
        }
        return AgentTool(UNDERSTOOD, "Say which intent the operator's sentence is.", schema, self._note)

    def _note(self, args: Mapping[str, Any]) -> str:
        slots = args.get("slots") or {}
        try:
            found = intent_of({**(slots if isinstance(slots, Mapping) else {}), "kind": args.get("kind")})
            self._checked(found)
        except InvalidInput as problem:
            return json.dumps({"refused": one_line(str(problem), 300)})
        self.intent = found
        return json.dumps({"noted": found.model_dump(mode="json", exclude_none=True)})

    def _checked(self, intent: Intent) -> None:
        known = {
            "signal": self._vocabulary.signals,
            "gate": self._vocabulary.gates,
            "flag": self._vocabulary.flags,
            "model": self._vocabulary.models,
            "tool": self._vocabulary.tools,
            "agent": self._vocabulary.roles,
        }
        for slot, names in known.items():
            value = getattr(intent, slot, None)
            if value is not None and value not in names:
                raise InvalidInput(slot, f"{value!r} is none", f"Use one of: {', '.join(names)}")

    def _slots(self) -> str:
        v = self._vocabulary
        return (
            f"signal: one of {', '.join(v.signals)}; gate: one of {', '.join(v.gates)}; flag: one of "
            f"{', '.join(v.flags)}; environment: dev, staging, production, or all for stop, start and set_flag; cycle: "
            "si_YYYY_MM_DD_NNN; approval: ap_...; at_most_usd: a number; "
            "to: {how: gold|day|version, value}; period: {start, end} with zone"
        )


def _reading(belt: Belt) -> list[AgentTool]:
    tools = []
    for name, function in belt.functions().items():
        described = function["function"]
        tools.append(AgentTool(name, described["description"], described["parameters"], _through(belt, name)))
    return tools


def _through(belt: Belt, name: str) -> Any:
    return lambda args: belt.call(name, args)


def _said(text: str, before: Sequence[Message]) -> list[ChatMessage]:
    """Return the conversation as a model is shown it; what anybody wrote stands in marked blocks."""
    earlier = [
        ChatMessage(role="user", content=Untrusted(text=m.text, source=f"{m.who}, earlier").block(800))
        for m in before[-_BEFORE:]
    ]
    return [*earlier, ChatMessage(role="user", content=Untrusted(text=text, source="the operator").block())]
