"""What every target is asked for: a dataset folder, a seed, and options that are checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import InvalidInput

Device = Literal["auto", "cpu", "cuda"]


class Options(BaseModel):
    """Base of a target's options: unknown ones are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NeuralOptions(Options):
    """Options of every transformer: weights from a folder or a name on the hub, and how long they are tuned.

    `local_only` never asks the hub: a name is then looked up among what was downloaded before.
    """

    base_model: str = ""
    local_only: bool = False
    device: Device = "auto"
    epochs: int = Field(default=1, ge=0, le=100)
    batch_size: int = Field(default=16, ge=2, le=1024)
    learning_rate: float = Field(default=2e-5, gt=0, le=1)
    max_length: int = Field(default=128, ge=8, le=8192)
    max_examples: int = Field(default=20_000, ge=1)


class TargetSpec(BaseModel):
    """A training job: `dataset` is the folder of a dataset version; `params` are the target's options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Path
    seed: int = Field(default=7, ge=0)
    params: Mapping[str, Any] = Field(default_factory=dict)
    learner: str = ""


class UseSpec(BaseModel):
    """A job that uses a trained bundle on the rows of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Path
    input: Path
    device: Device = "auto"
    sentences: int | None = Field(default=None, ge=1)


S = TypeVar("S", bound=BaseModel)


def checked(kind: type[S], given: Mapping[str, Any], field: str) -> S:
    """Return the typed specification.

    Raises:
        InvalidInput: names the field of `field` that is wrong, and what it may be.
    """
    try:
        return kind.model_validate(dict(given))
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join([field, *(str(part) for part in first["loc"])])
        known = ", ".join(sorted(kind.model_fields))
        remedy = f"Known are {known}" if first["type"] == "extra_forbidden" else f"Mend {where} of the job"
        raise InvalidInput(where, first["msg"], remedy) from None


def asked(spec: Mapping[str, Any], options: type[S]) -> tuple[TargetSpec, S]:
    """Return the specification of a training job and the target's options.

    Raises:
        InvalidInput: a field is wrong, or the dataset folder is not there.
    """
    job = checked(TargetSpec, spec, "spec")
    chosen = checked(options, job.params, "params")
    if not job.dataset.is_dir():
        raise InvalidInput(
            "spec.dataset", f"{job.dataset.name} is not a folder", "Name the folder of a dataset version"
        )
    return job, chosen
