"""What a demo run came to: the facts the closing panel prints and the JSON file holds."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NdcgLevels(_Frozen):
    """nDCG@10 before the trouble, during it and after the cycle; None where it was not measured."""

    healthy: float | None = None
    degraded: float | None = None
    final: float | None = None


class GateFact(_Frozen):
    """What a gate answered: `verdict` is ``pass``, ``fail``, ``insufficient`` or ``error``."""

    name: str
    verdict: str
    reason: str = ""


class AbFacts(_Frozen):
    """The A/B test at its last look: relative lift of nDCG@10 with its bounds, judged users of each arm, verdict."""

    improvement: float | None = None
    lower: float | None = None
    upper: float | None = None
    users_baseline: int = 0
    users_candidate: int = 0
    verdict: str


class EffectFact(_Frozen):
    """An effect: `receipt` is the sequence number of its intent in the audit chain, `permit` the start of its nonce."""

    name: str
    receipt: int | None = None
    permit: str = ""


class LiveFacts(_Frozen):
    """What the platform itself reports to be live."""

    digest: str = ""
    revision: str = ""


class Seconds(_Frozen):
    """Wall time of the cycle and of its stages, in seconds."""

    total: float = 0.0
    stages: Mapping[str, float] = Field(default_factory=dict)


class DemoSummary(_Frozen):
    """One demo run. `fault` is what was switched on from outside; no agent was told."""

    cycle_id: str | None
    fault: str
    seed: int
    action: str | None
    outcome: str
    verified: bool
    reason: str
    ndcg: NdcgLevels = NdcgLevels()
    gates: tuple[GateFact, ...] = ()
    ab: AbFacts | None = None
    effects: tuple[EffectFact, ...] = ()
    live: LiveFacts = LiveFacts()
    seconds: Seconds = Seconds()
    model: str = "playbook"
    unsupported_claims: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    artifacts: str = ""
