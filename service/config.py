"""`evercrew.yaml`: the platform under care and the systems around it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from domain.errors import ConfigurationError
from domain.signal import SignalSpec
from service.access_sections import AccessConfig
from service.delivery_sections import (
    AlertmanagerConfig,
    DeliveryConfig,
    GrafanaConfig,
    ValuesConfig,
)
from service.notify_sections import NotifyConfig
from service.sections import (
    BackupConfig,
    DatasetsConfig,
    EvaluationConfig,
    H2oConfig,
    JobsConfig,
    LlmStudioConfig,
    PersonConfig,
    Section,
    TrackingConfig,
    anchored,
)
from service.serve_sections import RouteConfig, ServeConfig
from service.source_sections import (
    CostsConfig,
    FeedbackConfig,
    LogsConfig,
    MetricsConfig,
    PlatformConfig,
    SearchConfig,
    VectorsConfig,
)


class Config(Section):
    """The whole file. Relative paths are relative to it."""

    environment: Literal["dev", "staging", "production"] = "dev"
    profile: Path | None = None
    policies: Path | None = None
    target: str = "search"
    state: Path = Path(".evercrew")
    workflow_url: str | None = None
    store_url: str | None = None
    audit_url: str | None = None
    platform: PlatformConfig
    metrics: MetricsConfig
    values: ValuesConfig
    tracking: TrackingConfig
    datasets: DatasetsConfig
    jobs: JobsConfig = JobsConfig()
    evaluation: EvaluationConfig
    delivery: DeliveryConfig = DeliveryConfig()
    logs: LogsConfig = LogsConfig()
    feedback: FeedbackConfig | None = None
    alertmanager: AlertmanagerConfig | None = None
    grafana: GrafanaConfig | None = None
    costs: CostsConfig | None = None
    vectors: VectorsConfig | None = None
    search: SearchConfig | None = None
    h2o: H2oConfig | None = None
    llm_studio: LlmStudioConfig | None = None
    backup: BackupConfig | None = None
    notify: NotifyConfig | None = None
    serve: ServeConfig = ServeConfig()
    access: AccessConfig = AccessConfig()
    people: Mapping[str, PersonConfig] = Field(default_factory=dict)
    schedules: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    alert_names: Mapping[str, str] = Field(default_factory=dict)
    routes: tuple[RouteConfig, ...] = ()
    signals: Mapping[str, SignalSpec] = Field(default_factory=dict)

    @property
    def audit_file(self) -> Path:
        """Where the audit chain is, when it is a file."""
        return Path(self.audit_url.removeprefix("sqlite:///")) if self.audit_url else self.state / "audit.db"


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
    placed: Config = anchored(config, base)
    tracking = placed.tracking.model_copy(update={"uri": _absolute_uri(placed.tracking.uri, base)})
    backup = placed.backup
    if backup is not None and "://" not in backup.to:
        backup = backup.model_copy(update={"to": str(base / backup.to)})
    audit_url = _absolute_uri(placed.audit_url, base) if placed.audit_url else None
    return placed.model_copy(update={"tracking": tracking, "backup": backup, "audit_url": audit_url})


def _absolute_uri(uri: str, base: Path) -> str:
    """Return a SQLite address with its file relative to `base`; others stay."""
    scheme = "sqlite:///"
    relative = uri.startswith(scheme) and not uri.startswith(f"{scheme}/")
    return f"{scheme}{base / uri.removeprefix(scheme)}" if relative else uri
