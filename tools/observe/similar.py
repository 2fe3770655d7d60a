"""`similar_cycles`: what was seen and done before, and the runbooks that fit."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from adapters.retrieval.base import RetrievalPort
from domain.untrusted import Untrusted
from tools.tool import Arguments, Call, Result, Tool, ToolSpec


class SimilarArgs(Arguments):
    """A description of the situation."""

    situation: str = Field(min_length=1, max_length=2000)
    limit: int = Field(default=3, ge=1, le=10)


class SimilarPassage(Result):
    id: str
    text: Untrusted
    score: float
    facts: Mapping[str, str]


class SimilarResult(Result):
    """Passages, closest first."""

    passages: tuple[SimilarPassage, ...]


class SimilarCycles(Tool[SimilarArgs, SimilarResult]):
    """Retrieves past cycles and runbooks."""

    spec = ToolSpec("similar_cycles", "Find past cycles and runbooks that resemble a described situation.")
    input = SimilarArgs
    output = SimilarResult

    def __init__(self, retrieval: RetrievalPort) -> None:
        self._retrieval = retrieval

    def run(self, args: SimilarArgs, call: Call) -> SimilarResult:
        found = self._retrieval.similar(args.situation, args.limit)
        return SimilarResult(
            passages=tuple(
                SimilarPassage(
                    id=p.id, text=Untrusted(text=p.text, source=f"memory {p.id}"), score=p.score, facts=p.facts
                )
                for p in found
            )
        )
