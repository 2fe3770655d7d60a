"""Sections of what is looked at: the platform, metrics, costs, vectors, search, logs and feedback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from domain.signal import LabelName
from service.sections import HttpSection, Section


class PlatformConfig(Section):
    """Where the search platform answers."""

    url: str = Field(pattern=r"^https?://")


class MetricsConfig(HttpSection):
    """`scrape` reads the platform's own /metrics page; `prometheus` asks a Prometheus server.

    There a sample that is older than `lookback_s` seconds counts as missing. `labels` are those of all series of the
    target, for a server that has others too.
    """

    kind: Literal["scrape", "prometheus"] = "scrape"
    labels: Mapping[LabelName, str] = Field(default_factory=dict)
    interval_s: float = Field(default=1.0, gt=0)
    lookback_s: float = Field(default=300, gt=0, le=300)


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
