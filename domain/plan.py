"""Plans: what the specialists propose, in typed slots that code fills effects from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Label = Annotated[str, Field(max_length=200)]


class AugmentationMethod(StrEnum):
    SYNONYM = "synonym"
    PARAPHRASE = "paraphrase"
    QUERY_GENERATION = "query_generation"
    HARD_NEGATIVES = "hard_negatives"


class AugmentationPlan(BaseModel):
    """How the training data is to be mended or extended. Counts are examples; `weight` is relative to a judged one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[AugmentationMethod, ...] = Field(min_length=1)
    target_tokens: tuple[Label, ...] = Field(default=(), max_length=200)
    target_categories: tuple[Label, ...] = Field(default=(), max_length=50)
    examples: int = Field(ge=1, le=50_000)
    weight: float = Field(default=0.3, gt=0, le=1)
    drop_damaged: bool = True
    rationale: str = Field(min_length=1)


class TrainingPlan(BaseModel):
    """How the re-ranker is to be trained; limits are hard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(default="reranker", pattern=r"^[a-z][a-z0-9_]{0,39}$")
    num_leaves: int = Field(default=15, ge=2, le=255)
    learning_rate: float = Field(default=0.1, gt=0, le=1)
    rounds: int = Field(default=100, ge=1, le=2000)
    learner: str = Field(default="lightgbm", pattern=r"^(lightgbm|h2o)$")
    seed: int = Field(default=7, ge=0)
    rationale: str = Field(min_length=1)


class PromotionProposal(BaseModel):
    """What the DevOps Engineer proposes once the gates have answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    proceed: bool
    change: str = Field(min_length=1)
    rollback_plan: str = Field(min_length=1)
    rationale: str = Field(min_length=1)


class ReviewVerdict(StrEnum):
    """What the Supervisor may say of a proposal."""

    ACCEPT = "accept"
    REVISE = "revise"
    STOP = "stop"


class Review(BaseModel):
    """The Supervisor's review of a proposal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: ReviewVerdict
    reason: str = Field(min_length=1)


class PostMortem(BaseModel):
    """What the Supervisor writes when a cycle ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: str = Field(min_length=1)
    what_happened: str = Field(min_length=1)
    what_was_done: str = Field(min_length=1)
    evidence: tuple[str, ...] = ()
    follow_ups: tuple[str, ...] = ()
