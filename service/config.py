"""`evercrew.yaml`: the platform under care and the systems around it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import ConfigurationError
from domain.signal import SeriesQuery, SignalSpec, Stat


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlatformConfig(_Section):
    """Where the search platform answers."""

    url: str = Field(pattern=r"^https?://")


class MetricsConfig(_Section):
    """`scrape` reads the platform's own /metrics page; `prometheus` asks a Prometheus server."""

    kind: Literal["scrape", "prometheus"] = "scrape"
    url: str = Field(pattern=r"^https?://")
    interval_s: float = Field(default=1.0, gt=0)


class ValuesConfig(_Section):
    """The GitOps repository that says what is served."""

    remote: str
    branch: str = "main"
    path: str = "values.yaml"


class TrackingConfig(_Section):
    """MLflow: a database URI or a server, the registered model, and where artifacts go (None: MLflow's choice)."""

    uri: str
    model: str = "reranker"
    artifacts: str | None = None


class DatasetsConfig(_Section):
    """The DVC repository (made when missing) and its remote."""

    repository: Path
    remote: str


class JobsConfig(_Section):
    """The platform's own code, as ``module:function``, and what running it costs.

    Memory is in MiB, training in USD an hour; a search costs USD a CPU second, and USD per 1,000 requests on top.
    """

    train: str = "testbed.jobs:train"
    score: str = "testbed.jobs:score"
    explain: str = "testbed.jobs:explain"
    digest: str = "testbed.bundle:bundle_digest"
    memory_mib: int = Field(default=8192, ge=256)
    usd_per_hour: float = Field(default=0.5, ge=0)
    cpu_second_usd: float = Field(default=0.02, ge=0)
    per_1k_usd: float = Field(default=0.10, ge=0)


class EvaluationConfig(_Section):
    """The sealed held-out judgements, and how many of the newest are used."""

    sealed: Path
    max_queries: int = Field(default=800, ge=50)


class Config(_Section):
    """The whole file. Relative paths are relative to it."""

    environment: Literal["dev", "staging", "production"] = "dev"
    profile: Path | None = None
    target: str = "search"
    state: Path = Path(".evercrew")
    workflow_url: str | None = None
    store_url: str | None = None
    platform: PlatformConfig
    metrics: MetricsConfig
    values: ValuesConfig
    tracking: TrackingConfig
    datasets: DatasetsConfig
    jobs: JobsConfig = JobsConfig()
    evaluation: EvaluationConfig
    alert_names: Mapping[str, str] = Field(default_factory=dict)
    signals: Mapping[str, SignalSpec] = Field(default_factory=dict)


def load_config(path: Path) -> Config:
    """Read the file.

    Raises:
        ConfigurationError: it is missing, not YAML, or a field is wrong; names the field and the remedy.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            str(path), "there is no such file", "Write one with `evercrew init`, or name it with --config"
        ) from None
    except (OSError, yaml.YAMLError) as problem:
        raise ConfigurationError(str(path), f"cannot be read: {problem}", "Mend the file") from None
    try:
        config = Config.model_validate(raw)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigurationError(f"{path.name}: {field}", first["msg"], "See `evercrew init --help`") from None
    return _absolute(config, path.parent.resolve())


def _absolute(config: Config, base: Path) -> Config:
    datasets = config.datasets.model_copy(update={"repository": base / config.datasets.repository})
    evaluation = config.evaluation.model_copy(update={"sealed": base / config.evaluation.sealed})
    profile = base / config.profile if config.profile else None
    tracking = config.tracking.model_copy(update={"uri": _absolute_uri(config.tracking.uri, base)})
    changes = {
        "tracking": tracking,
        "state": base / config.state,
        "datasets": datasets,
        "evaluation": evaluation,
        "profile": profile,
    }
    return config.model_copy(update=changes)


def _absolute_uri(uri: str, base: Path) -> str:
    """Return a SQLite address with its file relative to `base`; others stay."""
    scheme = "sqlite:///"
    relative = uri.startswith(scheme) and not uri.startswith(f"{scheme}/")
    return f"{scheme}{base / uri.removeprefix(scheme)}" if relative else uri


def catalog(config: Config) -> dict[str, SignalSpec]:
    """Return the signals by name: those of the documented platform, and the file's own in their place."""
    return {**_DEFAULT, **config.signals}


def _counter(metric: str, *, q: float | None = None, stat: Stat = Stat.INCREASE, scale: float = 1.0) -> SeriesQuery:
    return SeriesQuery(metric=metric, stat=stat, q=q, scale=scale)


_SESSIONS = _counter("search_judged_sessions_total")
_REQUESTS = _counter("search_requests_total")
_DEFAULT: dict[str, SignalSpec] = {
    "ndcg_at_10": SignalSpec(
        name="ndcg_at_10",
        unit="score",
        value=_counter("search_ndcg_at_10_sum"),
        count=_SESSIONS,
        squares=_counter("search_ndcg_at_10_squares_sum"),
        mean=True,
        higher_is_better=True,
    ),
    "recall_at_20": SignalSpec(
        name="recall_at_20",
        unit="score",
        value=SeriesQuery(metric="search_recall_at_20"),
        count=_SESSIONS,
        higher_is_better=True,
    ),
    "latency_p95_ms": SignalSpec(
        name="latency_p95_ms",
        unit="ms",
        value=_counter("search_latency_seconds", stat=Stat.QUANTILE, q=0.95, scale=1000),
        count=_REQUESTS,
        higher_is_better=False,
    ),
    "cost_per_1k_requests": SignalSpec(
        name="cost_per_1k_requests",
        unit="USD",
        value=SeriesQuery(metric="search_cost_per_1k_requests"),
        count=_REQUESTS,
        higher_is_better=False,
    ),
    "vector_index_errors": SignalSpec(
        name="vector_index_errors",
        unit="errors",
        value=_counter("search_index_errors_total"),
        count=_REQUESTS,
        higher_is_better=False,
    ),
    "user_satisfaction": SignalSpec(
        name="user_satisfaction",
        unit="score_1_5",
        value=SeriesQuery(metric="search_satisfaction"),
        count=_SESSIONS,
        higher_is_better=True,
    ),
}
