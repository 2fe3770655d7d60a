"""The sections of `evercrew.yaml`, and what they are made of. A section that is left out is a system that is not there.

Here: training, and what is kept. `delivery_sections` has what says and shows what is live,
`source_sections` what is looked at.

Secrets are never in the file: `EVERCREW_<SECTION>_TOKEN` and `EVERCREW_<SECTION>_PASSWORD` are settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

URL = r"^https?://[^@\s]+$"


class Section(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Reached(Section):
    """How something is reached over HTTP: certificates (PEM files), a user for basic authentication, limits of time."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True
    username: str = ""
    timeout_s: float = Field(default=10, gt=0, le=600)
    attempts: int = Field(default=3, ge=1, le=10)


class HttpSection(Reached):
    """What answers over HTTP, and where."""

    url: str = Field(pattern=URL)


class RetentionConfig(Section):
    """Whether old models and data are deleted by the clock; after how many days, and how many of the newest stay."""

    enabled: bool = False
    keep_days: float = Field(default=90, gt=0)
    keep_last: int = Field(default=10, ge=1)


class TrackingConfig(Section):
    """MLflow: a database URI or a server, the registered model, and where artifacts go (None: MLflow's choice)."""

    uri: str
    model: str = "reranker"
    artifacts: str | None = None
    username: str = ""
    s3_endpoint_url: str = ""
    retention: RetentionConfig = RetentionConfig()


class S3Config(Section):
    """An S3, or what answers like one at `endpoint_url`. Keys come from the environment or `profile`."""

    endpoint_url: str = ""
    region: str = ""
    profile: str = ""


class DatasetsConfig(Section):
    """The DVC repository (made when missing) and its remote: a folder, or ``s3://bucket/prefix``."""

    repository: Path
    remote: str
    s3: S3Config | None = None


class JobsConfig(Section):
    """The platform's own code, as ``module:function``, where it runs, and what running it costs.

    `targets` are other things to train, by name; `target_options` are laid over the options of those that come along.

    `target_gpus` are the GPU cards that training a target takes, each for `gpu_usd_per_hour` on top.

    Memory is in MiB, training in USD an hour; a search costs USD a CPU second, and USD per 1,000 requests on top.
    `sandbox` says whether a job may run that is not shut in; left out, it may in dev and nowhere else.
    """

    train: str = "testbed.jobs:train"
    score: str = "testbed.jobs:score"
    explain: str = "testbed.jobs:explain"
    digest: str = "testbed.bundle:bundle_digest"
    features: str = "testbed.jobs:features"
    finish: str = "testbed.jobs:finish"
    targets: Mapping[str, str] = Field(default_factory=dict)
    target_options: Mapping[str, Mapping[str, str | int | float | bool]] = Field(default_factory=dict)
    engine: Literal["worker", "ray"] = "worker"
    ray_address: str = ""
    sandbox: Literal["required", "preferred"] | None = None
    memory_mib: int = Field(default=8192, ge=256)
    usd_per_hour: float = Field(default=0.5, ge=0)
    gpu_usd_per_hour: float = Field(default=0.0, ge=0)
    target_gpus: Mapping[str, int] = Field(default_factory=dict)
    cpu_second_usd: float = Field(default=0.02, ge=0)
    per_1k_usd: float = Field(default=0.10, ge=0)


class H2oConfig(Reached):
    """An H2O cluster at `url`, or one of our own (empty) with so much memory in MiB; limits of one training."""

    url: str = Field(default="", pattern=r"^(https?://[^@\s]+)?$")
    nodes: int = Field(default=1, ge=1)
    algorithm: Literal["automl", "gbm", "drf", "glm"] = "automl"
    max_models: int = Field(default=4, ge=1)
    max_memory_mib: int = Field(default=1024, ge=256)
    max_runtime_s: float = Field(default=300, gt=0)
    java: str = "java"


class LlmStudioConfig(Section):
    """Where H2O LLM Studio runs: on this host, on another over SSH, or as Kubernetes Jobs.

    `folder` is the program's and `root` that of experiments, both on the host it runs on.
    """

    kind: Literal["local", "ssh", "kubernetes"] = "local"
    folder: str = ""
    root: str = ""
    python: str = "python"
    host: str = ""
    port: int = Field(default=22, ge=1, le=65535)
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    kubernetes: HttpSection | None = None
    namespace: str = "default"
    image: str = ""
    claim: str = "llm-studio"
    gpus: int = Field(default=1, ge=0)


class EvaluationConfig(Section):
    """The sealed held-out judgements, and how many of the newest are used."""

    sealed: Path
    max_queries: int = Field(default=800, ge=50)


class BackupConfig(Section):
    """Where the daily backup goes (a folder, or ``s3://bucket/prefix``), and how many are kept."""

    to: str = Field(min_length=1)
    s3: S3Config = S3Config()
    keep_daily: int = Field(default=14, ge=1)
    keep_weekly: int = Field(default=8, ge=0)


class PersonConfig(Section):
    """Somebody who may decide: roles, accounts on the machine where `evercrew` is run, and a public key.

    Where there is a key (``ssh-ed25519 ...``), votes have to be signed by its private half; else the account counts.
    """

    roles: tuple[str, ...] = Field(min_length=1)
    os_users: tuple[str, ...] = ()
    public_key: str = ""


def anchored(section: Any, base: Path) -> Any:
    """Return the section with every relative path made relative to `base`."""
    changes: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path):
            changes[name] = base / value
        elif isinstance(value, Section):
            changes[name] = anchored(value, base)
        elif isinstance(value, tuple) and value and isinstance(value[0], Path):
            changes[name] = tuple(base / path for path in value)
    return section.model_copy(update=changes)
