"""Models: the candidate a cycle made, versions in the registry, and what is live."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class ModelRef(BaseModel):
    """A registered model version. `digest` is ``sha256:`` and 64 hexadecimal digits over the bundle's files."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    digest: str
    run_id: str = ""
    dataset_revision: str = ""
    tags: Mapping[str, str] = Field(default_factory=dict)


class VariantState(BaseModel):
    """One served variant; `weight` in percent of users."""

    model_config = ConfigDict(frozen=True)

    name: str
    digest: str
    weight: int


class LiveState(BaseModel):
    """What the platform says it is serving right now."""

    model_config = ConfigDict(frozen=True)

    digest: str
    revision: str
    mode: str = ""
    mode_source: str = ""
    tier: str = ""
    variants: tuple[VariantState, ...] = ()
    index_generation: int = 0
    applied_at: datetime | None = None
