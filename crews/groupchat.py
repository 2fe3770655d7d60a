"""The same talk as an AutoGen group chat (`ag2`): five roles and a trigger, over the same belt and the same door.

It shows that the door does not depend on the framework: AutoGen chooses who speaks and calls the functions, and every
function is the belt's. The Supervisor asks by its one function, which makes the asked one the next to speak. Nobody
executes code, nobody is asked at a terminal, and after `MAX_ROUND` messages it is over.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from adapters.llm.base import ChatMessage, ChatPort, ChatReply, ToolCall
from agents.blocks import complaint, first_json, schema_text
from agents.meter import Meter
from agents.operator.lead import DELEGATE
from agents.operator.seats import LEAD, TASKS
from crews.operator import DELEGATION, answered_of, asked, instructions, shown
from crews.session import Session, Workplace
from domain.actor import Role
from domain.brief import Answered
from domain.errors import BudgetExhausted, DependencyUnavailable, EvercrewError, ModelAnswerInvalid
from domain.finding import Finding, Findings, OperatorQuestion
from domain.untrusted import Untrusted, one_line

if TYPE_CHECKING:
    from autogen import ConversableAgent, GroupChat

MAX_ROUND = 20
NAME = "groupchat"
TRIGGER = "SystemTrigger"
NAMES: Mapping[Role, str] = {
    Role.SUPERVISOR: "SupervisorAgent",
    Role.METRICS_ANALYST: "MetricsAnalyzer",
    Role.DATA_ENGINEER: "DataEngineer",
    Role.ML_ENGINEER: "MLEngineer",
    Role.DEVOPS_ENGINEER: "DevOpsAgent",
}
_CHARACTERS_A_TOKEN = 4


def check_installed() -> None:
    """Return when AutoGen is there.

    Raises:
        DependencyUnavailable: it is not; names the extra.
    """
    if importlib.util.find_spec("autogen") is None:
        raise DependencyUnavailable("autogen", "ag2 is not installed", "Install the extra: evercrew[autogen]")


def discuss(question: OperatorQuestion, place: Workplace) -> Answered[Findings]:
    """Return what the five found in a group chat.

    Raises:
        DependencyUnavailable: ag2 is not installed.
        ModelAnswerInvalid: it ended without an answer that validates.
        BudgetExhausted: time, tokens, calls or rounds were used up first.
        DependencyError: no model could be had.
    """
    check_installed()
    session = Session(NAME, question.brief(), place)
    with (
        session.paid(),
        place.traces.span(f"crew {NAME}", "chain", {"stage": "chat"}, cycle_id=question.scope_id) as span,
    ):
        talk = _Talk(question, session)
        limit = sum(
            (place.roster.seat(role).time_limit for role in TASKS), place.roster.seat(Role.SUPERVISOR).time_limit
        )
        session.tell("agent", Role.SUPERVISOR, LEAD, "works")
        session.run(talk.hold, limit, NAME)
        answered = answered_of(session, talk.given())
        span.done({"tokens": answered.tokens, "models": list(answered.models), "rounds": talk.rounds})
    return answered


class _Mind:
    """What one agent thinks with: its own model, counted by the session's meter."""

    def __init__(self, chat: ChatPort, task: str, meter: Meter) -> None:
        self._chat = chat
        self._task = task
        self._meter = meter

    def reply(self, messages: Sequence[ChatMessage], functions: Sequence[Mapping[str, Any]]) -> ChatReply:
        """Return the next reply.

        Raises:
            BudgetExhausted: tokens, money or calls are used up. DependencyError: there is no answer.
        """
        estimate = sum(len(m.content) for m in messages) // _CHARACTERS_A_TOKEN
        call = self._meter.begin(estimate)
        if isinstance(call, EvercrewError):
            raise call
        schema = None if functions else Finding.model_json_schema()
        try:
            with self._meter.active():
                reply = self._chat.complete(messages, functions, task=self._task, answer_schema=schema)
        except EvercrewError as problem:
            self._meter.failed(call, problem)
            raise
        stopped = self._meter.count(reply, estimate, call)
        if stopped is not None:
            raise stopped
        return reply


class _Talk:
    """The group chat of one question."""

    def __init__(self, question: OperatorQuestion, session: Session) -> None:
        self._question = question
        self._session = session
        self._thread: list[ChatMessage] = self._opening()
        self._next: Role = Role.SUPERVISOR
        self._open = ""
        self._answer: Finding | None = None
        self.rounds = 0

    def given(self) -> Finding:
        """Return the Supervisor's answer.

        Raises:
            ModelAnswerInvalid: there is none.
        """
        if self._answer is None:
            raise ModelAnswerInvalid(f"{NAME} ended after {self.rounds} rounds without an answer")
        return self._answer

    def hold(self) -> None:
        """Let them talk, until the Supervisor has answered or the rounds are over."""
        from autogen import ConversableAgent, GroupChat, GroupChatManager, UserProxyAgent
        from autogen.io import IOStream

        agents = {role: self._agent(role, ConversableAgent) for role in NAMES}
        trigger = UserProxyAgent(TRIGGER, human_input_mode="NEVER", code_execution_config=False, silent=True)

        def speaks(_last: Any, chat: GroupChat) -> Any:
            self.rounds = len(chat.messages)
            return None if self._answer is not None else agents[self._next]

        chat = GroupChat(
            agents=[trigger, *agents.values()],
            messages=[],
            max_round=MAX_ROUND,
            speaker_selection_method=speaks,
        )
        manager = GroupChatManager(chat, llm_config=False, code_execution_config=False, silent=True)
        with IOStream.set_default(_Quiet()):
            trigger.initiate_chat(manager, message="An operator has asked a question.", silent=True)
        self.rounds = len(chat.messages)

    def _agent(self, role: Role, kind: type[ConversableAgent]) -> ConversableAgent:
        agent = kind(
            NAMES[role],
            system_message=role.label,
            human_input_mode="NEVER",
            code_execution_config=False,
            llm_config=False,
            silent=True,
        )
        mind = _Mind(self._session.place.chat_for(role), TASKS.get(role, LEAD), self._session.meter)
        speak = self._leading(mind) if role is Role.SUPERVISOR else self._looking(role, mind, agent)
        agent.register_reply([lambda _sender: True], lambda *_args, **_kwargs: (True, speak()), position=0)
        return agent

    # -- the Supervisor ----------------------------------------------------------------------------------------------

    def _opening(self) -> list[ChatMessage]:
        seat = self._session.place.roster.seat(Role.SUPERVISOR)
        system = self._session.prompt(f"{LEAD}/system.md", max_calls=seat.max_calls)
        task = self._session.prompt(
            f"{LEAD}/task.md",
            coworkers=", ".join(role.label for role in TASKS),
            brief=shown(self._question),
            question=asked(self._question),
            schema=schema_text(Finding),
        )
        return [ChatMessage(role="system", content=system), ChatMessage(role="user", content=task)]

    def _leading(self, mind: _Mind) -> Callable[[], str]:
        def speak() -> str:
            reply = mind.reply(self._thread, list(DELEGATION.values()))
            if not reply.tool_calls:
                return self._concluded(reply.text)
            call = reply.tool_calls[0]
            self._thread.append(ChatMessage(role="assistant", tool_calls=(call,)))
            role = _coworker(call)
            if role is None:
                named = one_line(str(call.arguments.get("coworker", call.name)), 60)
                self._answered(call.id, json.dumps({"refused": f"{named!r} is no co-worker"}))
                return f"There is no {named}."
            self._next, self._open = role, call.id
            return f"{NAMES[role]}: {one_line(str(call.arguments.get('task', '')), 300)}"

        return speak

    def _concluded(self, text: str) -> str:
        try:
            self._answer = Finding.model_validate(first_json(text))
        except (ValidationError, ValueError) as problem:
            raise ModelAnswerInvalid(f"{LEAD}: {complaint(problem)}") from None
        return self._answer.summary

    def _answered(self, call_id: str, text: str) -> None:
        self._thread.append(ChatMessage(role="tool", content=text, tool_call_id=call_id, name=DELEGATE))

    # -- the specialists ---------------------------------------------------------------------------------------------

    def _looking(self, role: Role, mind: _Mind, agent: ConversableAgent) -> Callable[[], str]:
        belt = self._session.belt(role, TASKS[role])
        functions = belt.functions()
        agent.register_function({name: _function(belt.call, name) for name in functions})

        def speak() -> str:
            text = self._looked(role, mind, agent, list(functions.values()))
            self._answered(self._open, text)
            self._next = Role.SUPERVISOR
            return text

        return speak

    def _looked(self, role: Role, mind: _Mind, agent: ConversableAgent, functions: Sequence[Mapping[str, Any]]) -> str:
        """Let a specialist call its functions, by AutoGen's own execution of them, until it answers."""
        seat = self._session.place.roster.seat(role)
        text = Untrusted(text=self._thread[-1].model_dump_json(), source="the Supervisor").block()
        said = [
            ChatMessage(role="system", content=instructions(self._session, self._question, role)),
            ChatMessage(role="user", content=text),
        ]
        for _ in range(seat.max_iterations):
            reply = mind.reply(said, functions)
            if not reply.tool_calls:
                return reply.text
            said.append(ChatMessage(role="assistant", content=reply.text, tool_calls=reply.tool_calls))
            said += _executed(agent, reply.tool_calls)
        raise BudgetExhausted(f"the {role.label} was asked {seat.max_iterations} times and came to no answer")


class _Quiet:
    """Where AutoGen writes and reads: nowhere. Nobody is asked anything at a terminal."""

    def print(self, *_objects: Any, **_how: Any) -> None:
        return None

    def send(self, _message: Any) -> None:
        return None

    def input(self, _prompt: str = "", *, password: bool = False) -> str:
        return ""


def _function(call: Callable[[str, Mapping[str, Any]], str], name: str) -> Callable[..., str]:
    def run(**kwargs: Any) -> str:
        return call(name, kwargs)

    run.__name__ = name
    return run


def _executed(agent: ConversableAgent, calls: Sequence[ToolCall]) -> list[ChatMessage]:
    """Have AutoGen execute the calls, and return what came of each."""
    asked_for = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(dict(c.arguments))}}
        for c in calls
    ]
    message = {"role": "assistant", "content": "", "tool_calls": asked_for}
    _, answer = agent.generate_tool_calls_reply(messages=[message], sender=agent)
    responses = answer.get("tool_responses", []) if isinstance(answer, Mapping) else []
    return [
        ChatMessage(role="tool", content=str(r.get("content", "")), tool_call_id=str(r.get("tool_call_id", "")))
        for r in responses
    ]


def _coworker(call: ToolCall) -> Role | None:
    wanted = " ".join(str(call.arguments.get("coworker", "")).split()).casefold()
    if call.name != DELEGATE:
        return None
    return next((role for role in TASKS if wanted in (role.label.casefold(), NAMES[role].casefold())), None)
