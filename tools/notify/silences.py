"""`silence_alerts` and `lift_silence`: the alert manager kept quiet about what is being watched anyway."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from adapters.silences.base import EFFECT_EXPIRE, EFFECT_SILENCE, Matcher, SilencesPort
from domain.decision import Effect
from domain.errors import InvalidInput
from domain.observation import Observation, Seen
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

# The name of the alerts that the generated rules send; a silence of ours is about no others.
ALERT_NAME = "SignalBreached"


class SilenceArgs(Arguments):
    """The signal whose alerts are kept quiet, from when, until when, and why."""

    signal: str = Field(min_length=1, max_length=100)
    starts: AwareDatetime
    ends: AwareDatetime
    reason: str = Field(min_length=1, max_length=200)


class Silenced(Result):
    """The silence's id at the alert manager."""

    silence: str


class SilenceAlerts(Tool[SilenceArgs, Silenced]):
    """Silences one signal's alerts about the target; whose they are says the scope, not the caller."""

    spec = ToolSpec(
        "silence_alerts",
        "Keep the alert manager quiet about a signal of the target while a change of ours is watched.",
        effect=Effect.WRITE,
        effects=(EFFECT_SILENCE,),
    )
    input = SilenceArgs
    output = Silenced

    def __init__(self, port: SilencesPort) -> None:
        self._port = port

    def run(self, args: SilenceArgs, call: Call) -> Silenced:
        named = {
            "alertname": ALERT_NAME,
            "signal": args.signal,
            "target": call.scope.target,
            "environment": call.scope.environment,
        }
        made = self._port.silence(
            [Matcher(name=name, value=value) for name, value in named.items()],
            args.starts,
            args.ends,
            f"{call.scope.cycle_id}: {args.reason}",
            key=call.key,
            permit=call.permit,
        )
        return Silenced(silence=made)

    def observe(self, args: SilenceArgs, call: Call) -> Observation:
        seen = self._port.observe(call.key)
        return seen.model_copy(update={"outcome": {"silence": seen.outcome.get("id", "")}})


class LiftArgs(Arguments):
    """The silence's id, as silencing returned it."""

    silence: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")


class Lifted(Result):
    lifted: bool


class LiftSilence(Tool[LiftArgs, Lifted]):
    """Takes a silence down; one that is over already is lifted."""

    spec = ToolSpec(
        "lift_silence",
        "Let the alert manager speak again about what was silenced.",
        effect=Effect.WRITE,
        effects=(EFFECT_EXPIRE,),
    )
    input = LiftArgs
    output = Lifted

    def __init__(self, port: SilencesPort) -> None:
        self._port = port

    def run(self, args: LiftArgs, call: Call) -> Lifted:
        self._port.expire(args.silence, key=call.key, permit=call.permit)
        return Lifted(lifted=True)

    def observe(self, args: LiftArgs, call: Call) -> Observation:
        try:
            over = self._port.ended(args.silence)
        except InvalidInput as problem:
            return Observation(seen=Seen.ABSENT, detail=str(problem))
        return Observation.done({"lifted": True}) if over else Observation.absent()
