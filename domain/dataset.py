"""Datasets: where they came from, what is in them, where they are kept."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class DatasetRef(BaseModel):
    """A dataset that can be had again: its path in the dataset repository, DVC hash and git revision there."""

    model_config = ConfigDict(frozen=True)

    name: str
    path: str
    md5: str
    revision: str


class DatasetStatistics(BaseModel):
    """Counts of a dataset.

    `avg_length` is in characters a query, `diversity_score` the share of distinct token bigrams (0-1).
    """

    model_config = ConfigDict(frozen=True)

    total_examples: int
    judged_examples: int
    synthetic_examples: int
    dropped_damaged: int = 0
    dropped_held_out: int = 0
    avg_length: float
    diversity_score: float
    duplicate_rate: float = 0.0


class DatasetSource(BaseModel):
    model_config = ConfigDict(frozen=True)

    type: str
    trigger: str
    base_documents: int


class DvcPointer(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: str
    hash: str
    revision: str


class MlflowPointer(BaseModel):
    model_config = ConfigDict(frozen=True)

    run_id: str
    artifact_uri: str


class DatasetManifest(BaseModel):
    """`dataset_manifest.yaml`."""

    model_config = ConfigDict(frozen=True)

    dataset_id: str
    cycle_id: str
    created_at: datetime
    source: DatasetSource
    method: str
    target_tokens: tuple[str, ...]
    statistics: DatasetStatistics
    dvc: DvcPointer
    mlflow: MlflowPointer | None = None
    methods: dict[str, int] = Field(default_factory=dict)
