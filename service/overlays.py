"""Section `targets` of `evercrew.yaml`: further targets, each a part of a configuration that is laid over the file.

The file itself is the configuration of its first target, `target`. What a further one leaves out is as it is there;
mappings are laid over each other field by field, and null leaves a system out. What a target changes, deploys or is
judged by must be its own: two that shared it would undo each other's work, so that is refused.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

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
# MLflow's client takes its user and its S3 from the environment of the process, so all targets have the same; what is
# deleted by the clock is deleted for the first.
_SHARED = {"tracking": ("username", "s3_endpoint_url", "retention")}
# Words of a chat that mean something else.
_TAKEN = ("all", "dev", "everything", "gold", "production", "staging", "yes", "no")
_MOST_NAME = 60
_PORTS = {"http": 80, "https": 443}


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
    if target in _TAKEN:
        raise ConfigurationError(place, f"{target!r} means something else in a chat", "Name it otherwise")
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
    if len(configs) == 1:
        return
    seen: dict[tuple[str, object], str] = {}
    for target, config in configs.items():
        for field, mark, remedy in _marks(config):
            other = seen.setdefault((field, mark), target)
            if other != target:
                raise ConfigurationError(f"targets.{target}.{field}", f"is the one of {other} too", remedy)
    for (first, one), (later, other_one) in combinations(configs.items(), 2):
        _unmixed(first, one, later, other_one)
    variables: dict[str, str] = {}
    for target in configs:
        other = variables.setdefault(target.replace("-", "_").upper(), target)
        if other != target:
            problem = f"its settings have the same names as those of {other}"
            raise ConfigurationError(f"targets.{target}", problem, "Name one of them otherwise")


def _unmixed(first: str, one: Config, later: str, other: Config) -> None:
    """Check that no query of one finds series of the other, and that neither keeps data inside the other's folder."""
    ours, theirs = one.metrics, other.metrics
    if (ours.kind, _address(ours.url)) == (theirs.kind, _address(theirs.url)):
        both = ours.labels.keys() & theirs.labels.keys()
        if all(ours.labels[name] == theirs.labels[name] for name in both):
            problem = f"its series cannot be told from those of {first}"
            remedy = "Give both one label with values of their own, or name another metrics.url"
            raise ConfigurationError(f"targets.{later}.metrics.labels", problem, remedy)
    folders = (one.datasets.repository.resolve(), other.datasets.repository.resolve())
    if folders[0].is_relative_to(folders[1]) or folders[1].is_relative_to(folders[0]):
        problem = f"is the folder of {first}, or inside it"
        raise ConfigurationError(f"targets.{later}.datasets.repository", problem, "Name a folder of its own")


def _address(url: str) -> str:
    """Return an address as it is compared; what is none stays as it is, and whoever uses it says so."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme.lower(), 0)
    except ValueError:
        return url
    return f"{parts.scheme.lower()}://{(parts.hostname or '').lower()}:{port}{parts.path.rstrip('/')}?{parts.query}"


def _repository(remote: str) -> str:
    """Return a git repository as it is compared: the same over HTTPS and SSH, in whatever case."""
    whole = remote.rstrip("/").removesuffix(".git")
    try:
        parts = urlsplit(whole)
        port = parts.port
    except ValueError:
        return whole
    if "://" in whole:
        # SSH has a port of its own beside that of the pages; another one of the pages is another server.
        usual = parts.scheme.lower() not in _PORTS or port in (None, _PORTS[parts.scheme.lower()])
        return f"{(parts.hostname or '').lower()}{'' if usual else f':{port}'}/{parts.path.strip('/').lower()}"
    host, colon, path = whole.partition(":")
    return f"{host.rpartition('@')[2]}/{path.strip('/')}".lower() if colon else posixpath.normpath(whole)


def _laid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    laid = dict(under)
    for name, value in over.items():
        below = laid.get(name)
        laid[name] = _laid(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return laid


def _marks(config: Config) -> Iterator[tuple[str, object, str]]:
    """Return what is a target's own: the field that tells it, what it may not have in common, and the remedy."""
    values, tracking, delivery = config.values, config.tracking, config.delivery
    yield "platform.url", _address(config.platform.url), "Name the address of its own platform"
    place = (_repository(values.remote), values.branch, posixpath.normpath(values.path))
    yield "values.path", place, "Name a file of its own, or another values.remote"
    if config.tracking.retention.enabled:
        # What one dataset does not need is deleted from its remote, by what the file holds.
        yield "datasets.remote", config.datasets.remote, "Name a remote of its own, or switch tracking.retention off"
    yield "tracking.model", (_address(tracking.uri), tracking.model), "Name a registered model of its own"
    yield "evaluation.sealed", config.evaluation.sealed.resolve(), "Name judgements of its own"
    logs = config.logs
    if logs.kind != "platform":
        server = _address(logs.http.url) if logs.http else ""
        found = (logs.kind, server, logs.selector, logs.index, logs.tenant, logs.files)
        yield "logs", found, "Name its own selector, index or files, or kind: platform"
    if delivery.kind != "local":
        # Argo CD follows a branch whole: a commit for one target supersedes a release of the other.
        branch = (_repository(values.remote), values.branch)
        yield "values.remote", branch, "Name a repository or a branch of its own: Argo CD follows it whole"
        application = delivery.application.replace("{target}", config.target)
        named = (_address(delivery.url), delivery.app_namespace, application)
        yield "delivery.application", named, "Name its own application"
    if delivery.rollout is not None:
        rollout = (_address(delivery.rollout.url), delivery.rollout.namespace, delivery.rollout.name)
        yield "delivery.rollout.name", rollout, "Name its own Rollout"
    if config.vectors is not None:
        collection = (_address(config.vectors.url), config.vectors.collection)
        yield "vectors.collection", collection, "Name its own collection, or vectors: null"
    if config.search is not None:
        yield "search.index", (_address(config.search.url), config.search.index), "Name its own index, or search: null"
    if config.feedback is not None and config.feedback.kind != "platform":
        table = (config.feedback.database, config.feedback.table)
        yield "feedback.table", table, "Name its own table, or feedback: null"
