"""The desired state of the platform: `values.yaml` on branch `main` of the GitOps repository.

ValuesError   the file cannot be applied; the message names the field and the remedy
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from testbed.errors import TestbedError

Mode = Literal["fast", "balanced", "exhaustive"]
Tier = Literal["standard", "premium"]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]

MODES: tuple[str, ...] = get_args(Mode)
CHAMPION = "champion"
FILE_NAME = "values.yaml"


class ValuesError(TestbedError):
    """`values.yaml` (or the runtime override file) is malformed or contradicts itself."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelRef(_Strict):
    """The released model: its registry name, version (text in the registry) and content digest."""

    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    digest: Digest


class Variant(_Strict):
    """One model that serves a share of the users, in percent."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    digest: Digest
    weight: int = Field(ge=0, le=100)


class SearchValues(_Strict):
    """How much work a search does (`mode`) and what capacity it runs on (`tier`).

    `candidates` is how many documents are ranked (None: what the mode says), `title_chars` how much of a title a result
    shows.
    """

    mode: Mode = "balanced"
    tier: Tier = "standard"
    candidates: int | None = Field(default=None, ge=20, le=5000)
    title_chars: int = Field(default=200, ge=4, le=1000)


class EtlValues(_Strict):
    """Intake of documents: at each turn every one of `workers` takes at most `batch` documents."""

    workers: int = Field(default=4, ge=1, le=32)
    batch: int = Field(default=250, ge=1, le=2000)


class BudgetValues(_Strict):
    """What searches may cost: `usd` in every `period_s` seconds."""

    usd: float = Field(default=0.35, gt=0)
    period_s: float = Field(default=5.0, gt=0)


class FeedbackValues(_Strict):
    """`window`: judged sessions behind the rolling gauges."""

    window: int = Field(default=400, ge=10, le=100_000)


class ExperimentValues(_Strict):
    """`salt` enters the hash that assigns users to variants; another salt draws the groups anew."""

    salt: str = "reranker"


class IndexValues(_Strict):
    """A higher `generation` rebuilds the index files from the document store."""

    generation: int = Field(default=1, ge=1)


class Values(_Strict):
    """The whole file. Weights sum to 100 and the champion serves the released model."""

    model: ModelRef
    variants: tuple[Variant, ...] = ()
    search: SearchValues = SearchValues()
    feedback: FeedbackValues = FeedbackValues()
    experiment: ExperimentValues = ExperimentValues()
    index: IndexValues = IndexValues()
    etl: EtlValues = EtlValues()
    budget: BudgetValues = BudgetValues()

    @model_validator(mode="after")
    def _consistent(self) -> Values:
        if not self.variants:
            only = Variant(name=CHAMPION, digest=self.model.digest, weight=100)
            object.__setattr__(self, "variants", (only,))
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ValueError(f"variants: names must differ, got {names}")
        total = sum(variant.weight for variant in self.variants)
        if total != 100:
            raise ValueError(f"variants: weights must sum to 100, got {total}")
        champion = next((variant for variant in self.variants if variant.name == CHAMPION), None)
        if champion is None:
            raise ValueError(f"variants: one of them must be named '{CHAMPION}', got {names}")
        if champion.digest != self.model.digest:
            raise ValueError("variants: the champion's digest must equal model.digest; change both in one commit")
        return self

    @property
    def digests(self) -> tuple[str, ...]:
        """Digests of all models to serve, each once, the champion's first."""
        return tuple(dict.fromkeys([self.model.digest, *(variant.digest for variant in self.variants)]))


class RuntimeOverrides(_Strict):
    """What an operator switched by hand, outside git; cleared when the next revision is applied."""

    mode: Mode | None = None
    tier: Tier | None = None


def parse_values(text: str) -> Values:
    """Parse and check the YAML text; raises `ValuesError` naming every wrong field."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValuesError(f"{FILE_NAME} is not YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ValuesError(f"{FILE_NAME} must be a mapping with the key 'model', got {type(raw).__name__}")
    if isinstance(raw.get("variants"), list):
        raw["variants"] = tuple(raw["variants"])
    try:
        return Values.model_validate(raw)
    except ValidationError as error:
        raise ValuesError(describe(error)) from error


def parse_overrides(text: str) -> RuntimeOverrides:
    """Parse the runtime override file (JSON); raises `ValuesError`."""
    try:
        return RuntimeOverrides.model_validate_json(text)
    except ValidationError as error:
        raise ValuesError(describe(error)) from error


def describe(error: ValidationError) -> str:
    """One sentence for a validation error: every field with its message."""
    parts = [f"{'.'.join(map(str, item['loc'])) or FILE_NAME}: {item['msg']}" for item in error.errors()]
    return "; ".join(parts)


def assign_variant(user_id: str, salt: str, variants: tuple[Variant, ...]) -> Variant:
    """The variant of a user: SHA-256 of `salt:user_id` as a fraction of the weights; stable across processes."""
    point = int.from_bytes(hashlib.sha256(f"{salt}:{user_id}".encode()).digest()[:8], "big") / 2**64 * 100
    reached = 0
    for variant in variants:
        reached += variant.weight
        if point < reached:
            return variant
    return variants[-1]
