"""`evercrew.yaml`: the platform under care and the systems around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError

from domain.errors import ConfigurationError
from domain.signal import SignalSpec
from policies.loading import read_yaml
from service.access_sections import AccessConfig
from service.delivery_sections import (
    AlertmanagerConfig,
    DeliveryConfig,
    GrafanaConfig,
    ValuesConfig,
)
from service.misfit import misfit
from service.notify_sections import NotifyConfig
from service.overlays import apart, overlaid
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
    contract: Path | None = None
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
    targets: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)

    _further: dict[str, Config] = PrivateAttr(default_factory=dict)
    _is_further: bool = PrivateAttr(default=False)
    _sealed: tuple[Path, ...] = PrivateAttr(default=())

    @property
    def every_target(self) -> tuple[str, ...]:
        """The names of all targets that are looked after, the file's own first."""
        return (self.target, *self._further)

    def at(self, target: str) -> Config:
        """Return the configuration of one target, whole; of a further one, with a folder of its own for its state.

        Raises:
            ConfigurationError: it is none of this file.
        """
        if target == self.target:
            return self
        if target not in self._further:
            known = ", ".join(self.every_target)
            raise ConfigurationError("target", f"{target!r} is not cared for here", f"Use one of: {known}")
        return self._further[target]

    @property
    def experiment(self) -> str:
        """The experiment of MLflow's that runs are in: each further target has its own."""
        return f"evercrew-{self.target}" if self._is_further else "evercrew"

    @property
    def sealed_folders(self) -> tuple[Path, ...]:
        """The folders of the held-out judgements of all targets: no job sees any of them."""
        return self._sealed or (self.evaluation.sealed.parent,)

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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(
            str(path), "there is no such file", "Write one with `evercrew init`, or name it with --config"
        ) from None
    except OSError as problem:
        raise ConfigurationError(str(path), f"cannot be read: {problem.strerror}", "Name a readable file") from None
    except UnicodeDecodeError as problem:
        raise ConfigurationError(str(path), f"is not YAML: it is no text ({problem})", "Mend the file") from None
    raw = read_yaml(text, file=str(path))
    base = path.parent.resolve()
    try:
        config = _absolute(_valid(raw), base)
        further = {name: _absolute(_valid(overlaid(raw, name), f"targets.{name}."), base) for name in config.targets}
        config._further = {name: _placed(each, config.state / "targets" / name) for name, each in further.items()}
        apart({config.target: config, **config._further})
        _hidden([config, *config._further.values()])
    except ConfigurationError as problem:
        raise ConfigurationError(f"{path.name}: {problem.field}", problem.problem, problem.remedy) from None
    return config


def _placed(further: Config, state: Path) -> Config:
    """Return the configuration of a further target, with a folder of its own for its state."""
    placed = further.model_copy(update={"state": state})
    placed._is_further = True
    return placed


def _hidden(configs: Sequence[Config]) -> None:
    """Tell each configuration which folders no job may see: those of the judgements of all of them."""
    folders = tuple(dict.fromkeys(each.evaluation.sealed.parent for each in configs))
    for each in configs:
        each._sealed = folders


def _valid(raw: Any, of: str = "") -> Config:
    """Return what was read as a configuration; `of` stands before the fields of a part of the file."""
    try:
        return Config.model_validate(raw)
    except ValidationError as problem:
        field, wrong, remedy = misfit(problem, Config)
        raise ConfigurationError(f"{of}{field or 'the file'}", wrong, remedy) from None
    except OverflowError as problem:
        raise ConfigurationError(
            of.rstrip(".") or "the file", f"holds a number out of range: {problem}", "Write a smaller one"
        ) from None


def _absolute(config: Config, base: Path) -> Config:
    placed: Config = anchored(config, base)
    kept = placed.tracking.artifacts
    models = {"uri": _absolute_uri(placed.tracking.uri, base), "artifacts": kept and _absolute_place(kept, base)}
    changes: dict[str, Any] = {"tracking": placed.tracking.model_copy(update=models)}
    changes["values"] = placed.values.model_copy(update={"remote": _absolute_place(placed.values.remote, base)})
    changes["datasets"] = placed.datasets.model_copy(update={"remote": _absolute_place(placed.datasets.remote, base)})
    if placed.backup is not None:
        changes["backup"] = placed.backup.model_copy(update={"to": _absolute_place(placed.backup.to, base)})
    for name in ("store_url", "workflow_url", "audit_url"):
        url = getattr(placed, name)
        changes[name] = _absolute_uri(url, base) if url else url
    return placed.model_copy(update=changes)


def _absolute_place(place: str, base: Path) -> str:
    """Return a folder relative to `base`; addresses (``https://...``, ``git@host:path``) stay."""
    return place if ":" in place.split("/")[0] or not place else str(base / place)


def _absolute_uri(uri: str, base: Path) -> str:
    """Return a SQLite address with its file relative to `base`; others stay."""
    scheme = "sqlite:///"
    relative = uri.startswith(scheme) and not uri.startswith(f"{scheme}/")
    return f"{scheme}{base / uri.removeprefix(scheme)}" if relative else uri
