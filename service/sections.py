"""The sections of `evercrew.yaml`. A section that is left out is a system that is not there.

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

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class PlatformConfig(Section):
    """Where the search platform answers."""

    url: str = Field(pattern=r"^https?://")


class MetricsConfig(HttpSection):
    """`scrape` reads the platform's own /metrics page; `prometheus` asks a Prometheus server.

    There a sample that is older than `lookback_s` seconds counts as missing.
    """

    kind: Literal["scrape", "prometheus"] = "scrape"
    interval_s: float = Field(default=1.0, gt=0)
    lookback_s: float = Field(default=300, gt=0, le=300)


class AlertmanagerConfig(HttpSection):
    """Where alerts about our own watched changes are silenced."""


class GrafanaConfig(HttpSection):
    """Where promotions and roll-backs are marked: on the dashboard with this UID (and panel), or on all."""

    dashboard: str = ""
    panel: int | None = None


class ForgeConfig(HttpSection):
    """The service whose pull requests stand for approval; `project` is ``owner/name`` or GitLab's path or number.

    A request is asked about every `poll_s` seconds; how long it may stay open is the profile's `poll.approval_timeout`.
    """

    kind: Literal["github", "gitlab"]
    project: str = Field(min_length=1)
    poll_s: float = Field(default=10, gt=0, le=30)


class ValuesConfig(Section):
    """The GitOps repository that says what is served, and how it is reached.

    `mode` pull_request makes the merge the approval; then `emergency` says whether a roll-back may go straight to the
    branch.
    """

    remote: str
    branch: str = "main"
    path: str = "values.yaml"
    mode: Literal["commit", "pull_request"] = "commit"
    emergency: Literal["direct", "pull_request"] = "direct"
    username: str = ""
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    credential_helper: str = ""
    signing_key: str = ""
    depth: int | None = Field(default=None, ge=1)
    timeout_s: float = Field(default=30, gt=0, le=110)
    author_name: str = "Evercrew"
    author_email: str = "evercrew@localhost"
    forge: ForgeConfig | None = None
    layout: Mapping[str, Any] = Field(default_factory=dict)


class RolloutConfig(HttpSection):
    """The Kubernetes API and the Argo Rollout of the application; `token_file` is a service account's."""

    namespace: str = Field(min_length=1)
    name: str = Field(min_length=1)
    token_file: Path | None = None


class DeliveryConfig(Reached):
    """`local`: the platform follows the values by itself; `argocd`: an Argo CD application applies them.

    `application` is a template with ``{target}`` and ``{environment}``; `path` is what it is expected to follow, empty
    is not compared.
    """

    kind: Literal["local", "argocd"] = "local"
    url: str = Field(default="", pattern=r"^(https?://[^@\s]+)?$")
    application: str = "{target}-{environment}"
    app_namespace: str = ""
    project: str = ""
    path: str = ""
    rollout: RolloutConfig | None = None


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

    Memory is in MiB, training in USD an hour; a search costs USD a CPU second, and USD per 1,000 requests on top.
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
    memory_mib: int = Field(default=8192, ge=256)
    usd_per_hour: float = Field(default=0.5, ge=0)
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


class CostsConfig(HttpSection):
    """OpenCost or Kubecost: what the target costs, and what it may cost in a month."""

    kind: Literal["opencost"] = "opencost"
    path: str = "/allocation"
    aggregate: str = "namespace"
    names: Mapping[str, str] = Field(default_factory=dict)
    filter: str = ""
    share_idle: bool = False
    monthly_budget_usd: float = Field(default=0.0, ge=0)


class VectorsConfig(HttpSection):
    """A Qdrant server and the collection of the target."""

    kind: Literal["qdrant"] = "qdrant"
    collection: str = Field(min_length=1)
    vector: str = ""


class UbiConfig(Section):
    """Where user behaviour insights are kept, which field holds the query, and which actions are clicks."""

    queries: str = "ubi_queries"
    events: str = "ubi_events"
    query_field: str = "user_query"
    clicks: tuple[str, ...] = ("click",)


class SearchConfig(HttpSection):
    """An OpenSearch cluster and the index (or alias) of the target."""

    kind: Literal["opensearch"] = "opensearch"
    index: str = Field(min_length=1)
    fields: tuple[str, ...] = ("title", "text")
    ubi: UbiConfig | None = None


class LogsConfig(Section):
    """Where logs are looked up: the platform itself, files, Loki or OpenSearch."""

    kind: Literal["platform", "files", "loki", "opensearch"] = "platform"
    files: tuple[Path, ...] = ()
    pattern: str = ""
    most_mib: int = Field(default=32, ge=1, le=4096)
    selector: str = ""
    level_label: str = ""
    tenant: str = ""
    index: str = ""
    time_field: str = "@timestamp"
    text_field: str = "message"
    level_field: str = "level"
    http: HttpSection | None = None


class FeedbackConfig(Section):
    """Where users' clicks, thumbs and ratings come from: the platform's endpoint, or a table (SQLAlchemy URL)."""

    kind: Literal["platform", "table"] = "platform"
    path: str = "/data/feedback"
    database: str = ""
    table: str = "feedback"
    time_type: Literal["timestamp", "unix"] = "timestamp"
    timeout_s: float = Field(default=20, gt=0, le=600)
    columns: Mapping[str, str] = Field(default_factory=dict)


class BackupConfig(Section):
    """Where the daily backup goes (a folder, or ``s3://bucket/prefix``), and how many are kept."""

    to: str = Field(min_length=1)
    s3: S3Config = S3Config()
    keep_daily: int = Field(default=14, ge=1)
    keep_weekly: int = Field(default=8, ge=0)


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
