"""Section `targets` of `evercrew.yaml`: further targets, each a part of a configuration that is laid over the file.

The file itself is the configuration of its first target, `target`. What a further one leaves out is as it is there;
mappings are laid over each other field by field, and null leaves a system out. What a target changes, deploys or is
judged by must be its own: two that shared it would undo each other's work, so that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from domain.errors import ConfigurationError

if TYPE_CHECKING:
    from service.config import Config

NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
# What a further target may say for itself; everything else is one for all of them.
OWN = (
    "contract",
    "platform",
    "metrics",
    "values",
    "tracking",
    "datasets",
    "jobs",
    "evaluation",
    "delivery",
    "logs",
    "feedback",
    "alertmanager",
    "grafana",
    "costs",
    "vectors",
    "search",
    "h2o",
    "llm_studio",
    "signals",
)
# MLflow's client takes these from the environment of the process, so all targets have the same.
_SHARED = {"tracking": ("username", "s3_endpoint_url")}
_MOST_NAME = 60


def overlaid(raw: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Return the whole configuration of a further target, not yet validated.

    Raises:
        ConfigurationError: the name is none, or it says what only the file may; names ``targets.<name>.<field>``.
    """
    place = f"targets.{target}"
    part = raw["targets"][target]
    if not NAME.fullmatch(target) or len(target) > _MOST_NAME:
        remedy = f"Use at most {_MOST_NAME} small letters and digits, with single - or _ between them"
        raise ConfigurationError(place, f"{target!r} is no name of a target", remedy)
    if target == raw.get("target", "search"):
        raise ConfigurationError(place, "is the target of the file itself", "Leave it out here, or name it otherwise")
    for name in part:
        if name not in OWN:
            problem = "there is no such field of a further target"
            raise ConfigurationError(f"{place}.{name}", problem, f"Fields there are: {', '.join(OWN)}")
    for section, fields in _SHARED.items():
        given = part.get(section)
        for field in fields:
            if isinstance(given, Mapping) and field in given:
                problem = "is one for all targets of a process"
                raise ConfigurationError(f"{place}.{section}.{field}", problem, f"Set {section}.{field} of the file")
    root = {name: value for name, value in raw.items() if name != "targets"}
    return {**_laid(root, part), "target": target}


def apart(configs: Mapping[str, Config]) -> None:
    """Check that targets share nothing that one would change, or be judged by, for another.

    Raises:
        ConfigurationError: two do; names ``targets.<name>.<field>`` of the later one.
    """
    seen: dict[tuple[str, object], str] = {}
    for target, config in configs.items():
        for field, mark, remedy in _marks(config):
            other = seen.setdefault((field, mark), target)
            if other != target:
                raise ConfigurationError(f"targets.{target}.{field}", f"is the one of {other} too", remedy)
    variables: dict[str, str] = {}
    for target in configs:
        other = variables.setdefault(target.replace("-", "_").upper(), target)
        if other != target:
            problem = f"its settings have the same names as those of {other}"
            raise ConfigurationError(f"targets.{target}", problem, "Name one of them otherwise")


def _laid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    laid = dict(under)
    for name, value in over.items():
        below = laid.get(name)
        laid[name] = _laid(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return laid


def _marks(config: Config) -> Iterator[tuple[str, object, str]]:
    """Return what is a target's own: the field that tells it, what it may not have in common, and the remedy."""
    values, tracking, delivery = config.values, config.tracking, config.delivery
    yield "platform.url", config.platform.url, "Name the address of its own platform"
    place = (values.remote, values.branch, values.path)
    yield "values.path", place, "Name a file of its own, or another values.remote"
    yield "tracking.model", (tracking.uri, tracking.model), "Name a registered model of its own"
    yield "datasets.repository", config.datasets.repository, "Name a folder of its own"
    yield "evaluation.sealed", config.evaluation.sealed, "Name judgements of its own"
    metrics = config.metrics
    page = (metrics.kind, metrics.url, tuple(sorted(metrics.labels.items())))
    yield "metrics.labels", page, "Name the labels of its own series, or another metrics.url"
    if delivery.kind != "local":
        application = delivery.application.replace("{target}", config.target)
        yield "delivery.application", (delivery.url, delivery.app_namespace, application), "Name its own application"
    if delivery.rollout is not None:
        rollout = (delivery.rollout.url, delivery.rollout.namespace, delivery.rollout.name)
        yield "delivery.rollout.name", rollout, "Name its own Rollout"
    if config.vectors is not None:
        collection = (config.vectors.url, config.vectors.collection)
        yield "vectors.collection", collection, "Name its own collection, or vectors: null"
    if config.search is not None:
        yield "search.index", (config.search.url, config.search.index), "Name its own index, or search: null"
    if config.feedback is not None and config.feedback.kind != "platform":
        table = (config.feedback.database, config.feedback.table)
        yield "feedback.table", table, "Name its own table, or feedback: null"
