"""`annotate`: a change marked where people look at the numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from adapters.annotations.base import EFFECT_ANNOTATE, Annotation, AnnotationsPort
from domain.decision import Effect
from domain.observation import Observation, Seen
from tools.tool import Arguments, Call, Result, Tool, ToolSpec


class AnnotateArgs(Arguments):
    """What was changed, when it went live, and what is to be read there."""

    kind: Literal["promotion", "tuning", "rollback"]
    at: AwareDatetime
    text: str = Field(min_length=1, max_length=1000)


class Annotated(Result):
    """The mark's id at the dashboards."""

    annotation: str


class Annotate(Tool[AnnotateArgs, Annotated]):
    """Marks one change once."""

    spec = ToolSpec(
        "annotate", "Mark a change of ours on the dashboards.", effect=Effect.WRITE, effects=(EFFECT_ANNOTATE,)
    )
    input = AnnotateArgs
    output = Annotated

    def __init__(self, port: AnnotationsPort) -> None:
        self._port = port

    def run(self, args: AnnotateArgs, call: Call) -> Annotated:
        scope = call.scope
        annotation = Annotation(
            text=f"{args.text} ({scope.cycle_id})",
            at=args.at,
            tags=(args.kind, scope.target, scope.environment, scope.cycle_id),
        )
        return Annotated(annotation=self._port.annotate(annotation, key=call.key, permit=call.permit))

    def observe(self, args: AnnotateArgs, call: Call) -> Observation:
        """See `Tool.observe`; what cannot be found out counts as absent: the port looks before it marks, so that making
        it again makes no second one, and a dashboard that is down keeps no cycle waiting.
        """
        seen = self._port.observe(call.key)
        if seen.seen is Seen.UNKNOWN:
            return Observation.absent(seen.detail)
        return seen.model_copy(update={"outcome": {"annotation": seen.outcome.get("id", "")}})
