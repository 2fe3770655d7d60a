"""Settings from the environment: the only place that reads it.

`python -m service.settings` prints `.env.example`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from domain.errors import ConfigurationError

PREFIX = "EVERCREW_"
OF_TARGET = f"{PREFIX}TARGETS__"
"""Before ``<TARGET>__<SETTING>``: a secret that one of several targets has for itself."""
TRACES_PAGE = r"https?://[^@\s?]+/(?:projects/p/[0-9a-f-]{36}|#/experiments/[0-9]+)"
"""The page of a project in LangSmith, or of an experiment in MLflow, as a browser shows its address."""


def _secret(of: str, what: str = "token") -> Any:
    return Field(default="", repr=False, description=f"the {what} for {of}")


class Settings(BaseModel):
    """Every setting, its default, and one line why."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    config: Path = Field(
        default=Path("evercrew.yaml"), description="where the configuration of your platform is read from"
    )
    home: Path = Field(
        default=Path("~/.cache/evercrew"), description="where caches live that may be deleted at any time"
    )
    model: str = Field(default="gpt-4o-mini", description="the chat model to ask when OPENAI_API_KEY is set")
    openai_api_key: str = Field(
        default="",
        validation_alias="OPENAI_API_KEY",
        description="a key makes the crew run on a model; without, on the playbook",
    )
    openai_base_url: str = Field(
        default="https://api.openai.com/v1",
        validation_alias="OPENAI_BASE_URL",
        description="any endpoint that speaks chat completions",
    )
    model_timeout_s: float = Field(
        default=60, gt=0, description="how long one answer of the model may take, in seconds"
    )
    model_usd_per_1m_tokens: float = Field(
        default=0.6, ge=0, description="what a million tokens cost in US dollars, for the cost of a cycle"
    )
    paraphrase_by_model: bool = Field(
        default=True, description="let the model write paraphrases for training data, where there is one"
    )
    traces: str = Field(
        default="auto",
        pattern=r"^(auto|none|(langsmith|mlflow|otel)( *, *(langsmith|mlflow|otel))*)$",
        description="where spans go: langsmith, mlflow, otel, several with commas between them, or none; auto is "
        "LangSmith with a key, else MLflow, and OpenTelemetry beside it with an endpoint",
    )
    traces_content: bool = Field(
        default=True, description="send inputs and outputs (masked) with spans; false sends names, times and counts"
    )
    traces_page: str = Field(
        default="",
        pattern=rf"^({TRACES_PAGE}([/?]\S*)?)?$",
        description="for links from the console to traces: the page of the project in LangSmith (https://.../projects/p/"
        "ID) or of the experiment in MLflow (https://.../#/experiments/ID); empty for none",
    )
    traces_flush_s: float = Field(
        default=1.0, ge=0, le=60, description="how long the end of a process may wait for spans to be sent, in seconds"
    )
    otlp_endpoint: str = Field(
        default="", description="a collector for OTLP over HTTP, e.g. http://127.0.0.1:4318; empty for none"
    )
    otlp_headers: str = Field(default="", repr=False, description="headers for it, name=value with commas between them")
    langsmith_api_key: str = Field(
        default="", validation_alias="LANGSMITH_API_KEY", description="a key sends traces to LangSmith"
    )
    langsmith_endpoint: str = Field(
        default="https://api.smith.langchain.com",
        validation_alias="LANGSMITH_ENDPOINT",
        description="where LangSmith is",
    )
    langsmith_project: str = Field(
        default="evercrew", validation_alias="LANGSMITH_PROJECT", description="the LangSmith project of the traces"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="the least severe log line that is shown"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="how log lines of `evercrew serve` look; auto is text on a terminal, else JSON"
    )
    executor_id: str = Field(
        default="local",
        description="which workflows this process recovers; its own for every process on a shared database",
    )
    audit_key: str = Field(
        default="",
        repr=False,
        description="the Ed25519 key that signs the audit chain: the path of a PEM, or the PEM; else one is made",
    )
    access_key: str = Field(
        default="",
        repr=False,
        description="the Ed25519 key that signs access tokens: the path of a PEM, or the PEM; else one is made",
    )
    access_key_previous: str = Field(
        default="",
        repr=False,
        description="the key before, in the same form: its tokens are taken until it is left out here",
    )
    access_oidc_secret: str = _secret("the OpenID provider, for the client access.oidc.client_id", what="secret")
    mcp_token: str = _secret("`evercrew mcp` on standard input: who the assistant acts for")
    values_token: str = _secret("the values repository over HTTPS")
    forge_token: str = _secret("GitHub or GitLab, where values.mode is pull_request")
    delivery_token: str = _secret("Argo CD")
    delivery_password: str = _secret("Argo CD, for the user delivery.username", what="password")
    rollout_token: str = _secret("the Kubernetes API of delivery.rollout")
    metrics_token: str = _secret("Prometheus")
    metrics_password: str = _secret("Prometheus, for the user metrics.username", what="password")
    alertmanager_token: str = _secret("Alertmanager")
    alertmanager_password: str = _secret("Alertmanager, for the user alertmanager.username", what="password")
    grafana_token: str = _secret("Grafana")
    tracking_token: str = _secret("an MLflow server")
    tracking_password: str = _secret("an MLflow server, for the user tracking.username", what="password")
    costs_token: str = _secret("OpenCost or Kubecost")
    vectors_token: str = _secret("Qdrant (its API key)")
    search_password: str = _secret("OpenSearch, for the user search.username", what="password")
    feedback_password: str = _secret("the table of feedback, for the user in feedback.database", what="password")
    logs_token: str = _secret("Loki")
    logs_password: str = _secret("Loki or OpenSearch, for the user logs.http.username", what="password")
    h2o_password: str = _secret("an H2O cluster, for the user h2o.username", what="password")
    llm_studio_token: str = _secret("the Kubernetes API of llm_studio")
    llm_studio_gateway_token: str = _secret("callers of `evercrew llm-studio-gateway`")
    webhook_token: str = _secret("senders of alerts that send it as a bearer")
    webhook_token_previous: str = _secret("the same, still taken while senders change over")
    webhook_secret: str = _secret("senders of alerts that sign what they send", what="secret")
    webhook_secret_previous: str = _secret("the same, still taken while senders change over", what="secret")
    serve_metrics_token: str = _secret("whoever scrapes /metrics of `evercrew serve`")
    notify_slack_url: str = _secret("messages to Slack, or what takes the same incoming webhooks", what="address")
    notify_email_password: str = _secret("the mail server, for the user notify.email.username", what="password")
    notify_webhook_secret: str = _secret("signing what is posted to notify.webhook.url", what="secret")

    _of_targets: dict[str, dict[str, str]] = PrivateAttr(default_factory=dict)

    def at(self, target: str) -> Settings:
        """Return the settings of a target: its own secrets in place of those for all, where it has some."""
        return self.model_copy(update=self._of_targets.get(_variable(target), {}))

    def each(self) -> Iterator[Settings]:
        """Return these settings, and those of every target that has secrets of its own."""
        yield self
        yield from (self.model_copy(update=own) for own in self._of_targets.values())

    def check_targets(self, targets: Iterable[str]) -> None:
        """Check that secrets of single targets are of targets that there are.

        Raises:
            ConfigurationError: they are not; names the variable.
        """
        known = {_variable(target) for target in targets}
        for target, own in self._of_targets.items():
            if target not in known:
                variable = f"{OF_TARGET}{target}__{next(iter(own)).upper()}"
                remedy = f"Use one of: {', '.join(sorted(known))}" if known else "Name it in section targets"
                raise ConfigurationError(variable, "there is no such further target", remedy)


# Of these a further target may have its own; MLflow's are the process's, and so is everything Evercrew itself is.
TARGETS_OWN = (
    "values_token",
    "forge_token",
    "delivery_token",
    "delivery_password",
    "rollout_token",
    "metrics_token",
    "metrics_password",
    "alertmanager_token",
    "alertmanager_password",
    "grafana_token",
    "costs_token",
    "vectors_token",
    "search_password",
    "feedback_password",
    "logs_token",
    "logs_password",
    "h2o_password",
    "llm_studio_token",
)


def names() -> dict[str, str]:
    """Return the environment variable of each setting."""
    return {
        field: str(info.validation_alias or f"{PREFIX}{field.upper()}") for field, info in Settings.model_fields.items()
    }


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the process's environment (or the given one).

    Raises:
        ConfigurationError: a variable has a value it cannot have, or starts with ``EVERCREW_`` and is none of ours.
    """
    given = dict(os.environ) if environment is None else dict(environment)
    known = names()
    of_targets = _of_targets({name: value for name, value in given.items() if name.startswith(OF_TARGET)})
    unknown = sorted(
        name
        for name in given
        if name.startswith(PREFIX) and name not in known.values() and not name.startswith(OF_TARGET)
    )
    if unknown:
        raise ConfigurationError(unknown[0], "is not a setting", "See .env.example for those there are")
    values = {_key(field): given[name] for field, name in known.items() if given.get(name, "") != ""}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = str(first["loc"][0])
        raise ConfigurationError(known.get(field, field), first["msg"], "See .env.example for what it may be") from None
    settings._of_targets = of_targets
    return settings


def _of_targets(given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the secrets of single targets, by the name a target has in variables."""
    found: dict[str, dict[str, str]] = {}
    for variable, value in sorted(given.items()):
        target, _, setting = variable.removeprefix(OF_TARGET).partition("__")
        if not target or setting.lower() not in TARGETS_OWN or setting != setting.upper():
            known = ", ".join(name.upper() for name in TARGETS_OWN)
            raise ConfigurationError(variable, "is no setting of a single target", f"Use one of: {known}")
        found.setdefault(target, {})[setting.lower()] = value
    return found


def _variable(target: str) -> str:
    """Return a target's name as it stands in variables."""
    return target.replace("-", "_").upper()


def export(values: Mapping[str, str]) -> None:
    """Set variables for libraries that read them while they are imported; what the operator set stays."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


def inherited(*allowed: str) -> dict[str, str]:
    """Return the named variables of this process, for the environment of a child."""
    return {name: os.environ[name] for name in allowed if name in os.environ}


def example() -> str:
    """Return the text of `.env.example`."""
    lines = ["# Every setting of Evercrew, with its default. Nothing needs to be set.", ""]
    for field, name in names().items():
        info = Settings.model_fields[field]
        default = info.default
        text = str(default).lower() if isinstance(default, bool) else str(default)
        lines += [f"# {info.description}", f"# {name}={text}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _key(field: str) -> str:
    return str(Settings.model_fields[field].validation_alias or field)


if __name__ == "__main__":
    sys.stdout.write(example())
