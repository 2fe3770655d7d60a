"""Four verdicts. Only `pass` moves forward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Verdict(StrEnum):
    """What a gate answers: insufficient waits, fail goes back, error is retried and then escalated."""

    PASS = "pass"
    FAIL = "fail"
    INSUFFICIENT = "insufficient"
    ERROR = "error"


class Judgement(BaseModel):
    """A verdict with the sentence that explains it and the numbers it rests on."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    reason: str
    name: str = ""
    figures: Mapping[str, float | int | str | None] = Field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASS


_WORST_FIRST = (Verdict.ERROR, Verdict.FAIL, Verdict.INSUFFICIENT, Verdict.PASS)


def combine(judgements: Iterable[Judgement], name: str = "") -> Judgement:
    """Return the worst of the judgements: error before fail before insufficient before pass; of none, insufficient."""
    seen = list(judgements)
    if not seen:
        return Judgement(verdict=Verdict.INSUFFICIENT, reason="nothing was judged", name=name)
    worst = min(seen, key=lambda j: _WORST_FIRST.index(j.verdict)).verdict
    reasons = "; ".join(j.reason for j in seen if j.verdict is worst)
    return Judgement(verdict=worst, reason=reasons, name=name)
