"""`reindex_vectors`, `quarantine_vectors` and `release_vectors`: mending the vector index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field, StrictInt

from adapters.vectors.base import (
    EFFECT_QUARANTINE,
    EFFECT_REINDEX,
    EFFECT_RELEASE,
    MOST_POINTS,
    Value,
    VectorsPort,
)
from domain.decision import Effect
from domain.observation import Observation
from tools.tool import Arguments, Call, Nothing, Result, Tool, ToolSpec


class ReindexRequested(Result):
    """The re-index is on its way; `vector_status` says when it is green again."""

    collection: str
    ef_construct_before: int
    ef_construct_after: int
    at: datetime


class ReindexVectors(Tool[Nothing, ReindexRequested]):
    """Has the graph of every segment built anew."""

    spec = ToolSpec(
        "reindex_vectors",
        "Have the vector index built anew in the background; it serves meanwhile.",
        effect=Effect.WRITE,
        effects=(EFFECT_REINDEX,),
    )
    input = Nothing
    output = ReindexRequested

    def __init__(self, vectors: VectorsPort) -> None:
        self._vectors = vectors

    def run(self, args: Nothing, call: Call) -> ReindexRequested:
        done = self._vectors.reindex(key=call.key, permit=call.permit)
        return ReindexRequested.model_validate(done.model_dump())

    def observe(self, args: Nothing, call: Call) -> Observation:
        return self._vectors.observe(call.key)


class QuarantineVectorsArgs(Arguments):
    """Points by their ids, by equal payload fields, or by both together; more than `most` are refused."""

    ids: tuple[StrictInt | str, ...] = Field(default=(), max_length=1000)
    where: Mapping[str, Value] = Field(default_factory=dict, max_length=5)
    most: int = Field(default=1000, ge=1, le=MOST_POINTS)


class VectorsQuarantined(Result):
    """How many points are in quarantine under this call."""

    quarantined: int


class QuarantineVectors(Tool[QuarantineVectorsArgs, VectorsQuarantined]):
    """Flags points that search then leaves out; their data stay."""

    spec = ToolSpec(
        "quarantine_vectors",
        "Set points of the vector index aside by id or payload field; reversible.",
        effect=Effect.WRITE,
        effects=(EFFECT_QUARANTINE,),
    )
    input = QuarantineVectorsArgs
    output = VectorsQuarantined

    def __init__(self, vectors: VectorsPort) -> None:
        self._vectors = vectors

    def run(self, args: QuarantineVectorsArgs, call: Call) -> VectorsQuarantined:
        count = self._vectors.quarantine(
            ids=args.ids, where=args.where, most=args.most, key=call.key, permit=call.permit
        )
        return VectorsQuarantined(quarantined=count)

    def observe(self, args: QuarantineVectorsArgs, call: Call) -> Observation:
        return self._vectors.observe(call.key)


class ReleaseArgs(Arguments):
    """The key of the quarantine, as its receipt has it."""

    quarantine: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,199}$")


class VectorsReleased(Result):
    """How many points this call took out of quarantine."""

    released: int


class ReleaseVectors(Tool[ReleaseArgs, VectorsReleased]):
    """Takes points out of quarantine."""

    spec = ToolSpec(
        "release_vectors",
        "Take the points of a quarantine of the vector index out of it.",
        effect=Effect.WRITE,
        effects=(EFFECT_RELEASE,),
    )
    input = ReleaseArgs
    output = VectorsReleased

    def __init__(self, vectors: VectorsPort) -> None:
        self._vectors = vectors

    def run(self, args: ReleaseArgs, call: Call) -> VectorsReleased:
        return VectorsReleased(released=self._vectors.release(of=args.quarantine, key=call.key, permit=call.permit))

    def observe(self, args: ReleaseArgs, call: Call) -> Observation:
        return self._vectors.observe(call.key)
