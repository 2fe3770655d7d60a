"""`describe_model`: what is known of a version once it was judged, as its model card."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from adapters.tracking.base import EFFECT_DESCRIBE, ModelCard, TrackingPort
from domain.decision import Effect
from domain.observation import Observation
from tools.tool import Arguments, Call, Result, Tool, ToolSpec


class DescribeArgs(Arguments):
    """The registered version, and the facts of its card."""

    model: str = Field(min_length=1, max_length=200)
    version: str = Field(pattern=r"^\d{1,9}$")
    card: ModelCard


class Described(Result):
    model: str
    version: str


class DescribeModel(Tool[DescribeArgs, Described]):
    """Puts a model card on a registered version, in place of the one before."""

    spec = ToolSpec(
        "describe_model",
        "Put a model card with metrics, gates, limits and lineage on a registered version.",
        effect=Effect.WRITE,
        effects=(EFFECT_DESCRIBE,),
        timeout=timedelta(minutes=2),
    )
    input = DescribeArgs
    output = Described

    def __init__(self, tracking: TrackingPort) -> None:
        self._tracking = tracking

    def run(self, args: DescribeArgs, call: Call) -> Described:
        self._tracking.describe(
            model=args.model, version=args.version, card=args.card, key=call.key, permit=call.permit
        )
        return Described(model=args.model, version=args.version)

    def observe(self, args: DescribeArgs, call: Call) -> Observation:
        described = self._tracking.observe(call.key).outcome.get("described")
        if described != args.version:
            return Observation.absent("no card carries the key")
        return Observation.done(Described(model=args.model, version=args.version).model_dump())
