"""`notify`: a message to the people who run the platform."""

from __future__ import annotations

from pydantic import Field

from adapters.notify.base import EFFECT_SEND, Message, NotifyPort
from domain.decision import Effect
from domain.observation import Observation
from tools.tool import Arguments, Call, Result, Tool, ToolSpec


class NotifyArgs(Arguments):
    title: str = Field(min_length=1, max_length=200)
    body: str = Field(min_length=1, max_length=5000)
    severity: str = Field(default="info", pattern=r"^(info|warning|critical)$")


class Notified(Result):
    sent: bool


class Notify(Tool[NotifyArgs, Notified]):
    """Sends one message once."""

    spec = ToolSpec("notify", "Tell the people who run the platform.", effect=Effect.WRITE, effects=(EFFECT_SEND,))
    input = NotifyArgs
    output = Notified

    def __init__(self, port: NotifyPort) -> None:
        self._port = port

    def run(self, args: NotifyArgs, call: Call) -> Notified:
        message = Message(title=args.title, body=args.body, severity=args.severity, cycle_id=call.scope.cycle_id)
        self._port.send(message, key=call.key, permit=call.permit)
        return Notified(sent=True)

    def observe(self, args: NotifyArgs, call: Call) -> Observation:
        seen = self._port.observe(call.key)
        return seen.model_copy(update={"outcome": {"sent": True}})
