"""The training port: a job runs in a process of its own, with limits on time and memory.

Contract: results are kept under the job's key, so the same job asked for twice runs once; a killed or failed job
leaves no result.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.observation import Observation
from domain.permit import Permit

EFFECT_TRAIN = "training.run"


class TrainingJob(BaseModel):
    """`entry` is ``module:function``, called as function(spec, out_dir) -> JSON-able dict; memory in MiB."""

    model_config = ConfigDict(frozen=True)

    entry: str = Field(pattern=r"^[\w.]+:\w+$")
    spec: Mapping[str, Any]
    timeout: timedelta = timedelta(minutes=10)
    memory_mib: int = Field(default=4096, ge=256)


class TrainingResult(BaseModel):
    """`folder` holds what the job wrote; `output` what it returned; seconds of wall time."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    output: Mapping[str, Any]
    seconds: float


class TrainingPort(Protocol):
    """Runs one job at a time."""

    def run(self, job: TrainingJob, *, key: str, permit: Permit | None) -> TrainingResult:
        """Run the job and return its result.

        Raises:
            DependencyTimeout: it exceeded its time and was killed, children included.
            DependencyUnavailable: it died (memory limit, signal), with the tail of its error output.
            DependencyLied: it returned something that is not JSON or lacks what it promised.
        """
        ...

    def observe(self, key: str) -> Observation:
        """Return whether the job with this key finished; outcome is the TrainingResult's fields."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
