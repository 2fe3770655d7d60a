"""Systems of other vendors, each built from its section of the configuration; one that is left out builds none."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr, ValidationError

from adapters.annotations.base import AnnotationsPort
from adapters.costs.base import CostsPort
from adapters.delivery.base import DeliveryPort, RolloutPort
from adapters.feedback.base import FeedbackPort
from adapters.logs.base import LogsPort
from adapters.metrics.base import MetricsPort
from adapters.platform.base import PlatformPort
from adapters.rest import Endpoint
from adapters.search.base import SearchPort
from adapters.silences.base import SilencesPort
from adapters.vcs.access import GitAccess
from adapters.vcs.base import VcsPort
from adapters.vcs.git import GitVcs
from adapters.vectors.base import VectorsPort
from domain.clock import Clock
from domain.errors import ConfigurationError
from domain.permit import PermitOffice
from service.config import Config
from service.endpoints import endpoint_of
from service.settings import Settings
from tools.deliver.values import DEFAULT_LAYOUT, ValuesLayout

# A call through the door ends after two minutes; the engine comes back to a request that is still open.
PATIENCE = timedelta(seconds=90)


@dataclass(frozen=True)
class Site:
    """What every system is built from."""

    config: Config
    settings: Settings
    permits: PermitOffice
    clock: Clock
    closing: ExitStack


def metrics_of(site: Site) -> MetricsPort:
    """Return the metrics of a Prometheus, or of the platform's own page, scraped from now on."""
    section = site.config.metrics
    if section.kind == "prometheus":
        from adapters.metrics.prometheus import PrometheusMetrics

        prometheus = PrometheusMetrics(
            endpoint=endpoint_of(section, site.settings, "metrics"),
            clock=site.clock,
            lookback=timedelta(seconds=section.lookback_s),
        )
        site.closing.callback(prometheus.close)
        return prometheus
    from adapters.metrics.scrape import ScrapedMetrics

    scraped = ScrapedMetrics(
        url=section.url,
        db_path=site.config.state / "samples.db",
        clock=site.clock,
        interval=timedelta(seconds=section.interval_s),
    )
    scraped.start()
    site.closing.callback(scraped.close)
    return scraped


def layout_of(config: Config) -> ValuesLayout:
    """Return where each value lives in the values file.

    Raises:
        ConfigurationError: `values.layout` names no such place, or a path that is none.
    """
    if not config.values.layout:
        return DEFAULT_LAYOUT
    try:
        return ValuesLayout.model_validate({"file": config.values.path, **config.values.layout})
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(["values.layout", *(str(part) for part in first["loc"])])
        raise ConfigurationError(field, first["msg"], "See docs/integrations/values.md") from None


def vcs_of(site: Site) -> VcsPort:
    """Return the values repository: commits to the branch, or pull requests."""
    section, token = site.config.values, site.settings.values_token
    access = GitAccess(
        username=section.username,
        token=SecretStr(token) if token else None,
        ca=section.ca,
        cert=section.cert,
        key=section.key,
        ssh_key=section.ssh_key,
        known_hosts=section.known_hosts,
        credential_helper=section.credential_helper,
        signing_key=section.signing_key,
        author=(section.author_name, section.author_email),
    )
    git = GitVcs(
        remote=section.remote,
        branch=section.branch,
        path=section.path,
        folder=site.config.state / "values",
        permits=site.permits,
        clock=site.clock,
        access=access,
        depth=section.depth or 0,
        timeout=timedelta(seconds=section.timeout_s),
    )
    return git if section.mode == "commit" else _by_pull_request(site, git)


def _by_pull_request(site: Site, git: GitVcs) -> VcsPort:
    from adapters.vcs.github import GitHubForge
    from adapters.vcs.gitlab import GitLabForge
    from adapters.vcs.pull_request import PullRequestVcs

    section = site.config.values.forge
    if section is None:
        raise ConfigurationError("values.forge", "is missing", "Name the kind, url and project, or use mode commit")
    kind = GitHubForge if section.kind == "github" else GitLabForge
    endpoint = endpoint_of(section, site.settings, "forge")
    forge = kind(endpoint=endpoint, project=section.project, clock=site.clock)
    site.closing.callback(forge.disconnect)
    return PullRequestVcs(
        git=git,
        forge=forge,
        permits=site.permits,
        clock=site.clock,
        patience=PATIENCE,
        poll=timedelta(seconds=section.poll_s),
        emergency=site.config.values.emergency,
    )


def rollouts_of(site: Site) -> RolloutPort | None:
    """Return the Rollout of the application, or none."""
    section = site.config.delivery.rollout
    if section is None:
        return None
    from adapters.delivery.rollouts import ArgoRollouts

    rollouts = ArgoRollouts(
        endpoint=endpoint_of(section, site.settings, "rollout"),
        permits=site.permits,
        clock=site.clock,
        namespace=section.namespace,
        name=section.name,
        token_file=section.token_file,
    )
    site.closing.callback(rollouts.close)
    return rollouts


def delivery_of(site: Site, platform: PlatformPort, rollout: RolloutPort | None = None) -> DeliveryPort:
    """Return who says what is live: the platform alone, or Argo CD and the platform.

    Raises:
        ConfigurationError: the name of the application cannot be rendered.
    """
    section, config = site.config.delivery, site.config
    if section.kind == "local":
        from adapters.delivery.local import LocalDelivery

        return LocalDelivery(source=platform, clock=site.clock)
    from adapters.delivery.argocd import ArgoCdDelivery

    try:
        application = section.application.format(target=config.target, environment=config.environment)
    except (KeyError, IndexError, ValueError):
        raise ConfigurationError(
            "delivery.application", f"{section.application!r} is no template", "Use {target} and {environment} only"
        ) from None
    argocd = ArgoCdDelivery(
        endpoint=endpoint_of(section, site.settings, "delivery"),
        platform=platform,
        permits=site.permits,
        clock=site.clock,
        application=application,
        app_namespace=section.app_namespace,
        project=section.project,
        repository=config.values.remote,
        branch=config.values.branch,
        path=section.path,
        rollout=rollout,
    )
    site.closing.callback(argocd.close)
    return argocd


def silences_of(site: Site) -> SilencesPort:
    """Return the Alertmanager's silences, or none."""
    section = site.config.alertmanager
    if section is None:
        from adapters.silences.none import NoSilences

        return NoSilences(site.permits)
    from adapters.silences.alertmanager import AlertmanagerSilences

    endpoint = endpoint_of(section, site.settings, "alertmanager")
    silences = AlertmanagerSilences(endpoint=endpoint, clock=site.clock, permits=site.permits)
    site.closing.callback(silences.close)
    return silences


def annotations_of(site: Site) -> AnnotationsPort:
    """Return Grafana's annotations, or none."""
    section = site.config.grafana
    if section is None:
        from adapters.annotations.none import NoAnnotations

        return NoAnnotations(site.permits)
    from adapters.annotations.grafana import GrafanaAnnotations

    annotations = GrafanaAnnotations(
        endpoint=endpoint_of(section, site.settings, "grafana"),
        clock=site.clock,
        permits=site.permits,
        dashboard=section.dashboard,
        panel=section.panel,
    )
    site.closing.callback(annotations.close)
    return annotations


def costs_of(site: Site) -> CostsPort:
    """Return OpenCost's or Kubecost's allocation, or none."""
    section = site.config.costs
    if section is None:
        from adapters.costs.none import NoCosts

        return NoCosts()
    from adapters.costs.opencost import OpenCostCosts

    costs = OpenCostCosts(
        endpoint=endpoint_of(section, site.settings, "costs"),
        clock=site.clock,
        path=section.path,
        aggregate=section.aggregate,
        names={site.config.target: site.config.target, **section.names},
        filter=section.filter,
        share_idle=section.share_idle,
        monthly_budget_usd=section.monthly_budget_usd,
    )
    site.closing.callback(costs.close)
    return costs


def vectors_of(site: Site) -> VectorsPort:
    """Return the Qdrant collection, or none."""
    section = site.config.vectors
    if section is None:
        from adapters.vectors.none import NoVectors

        return NoVectors()
    from adapters.vectors.qdrant import QdrantVectors

    vectors = QdrantVectors(
        endpoint=endpoint_of(section, site.settings, "vectors"),
        collection=section.collection,
        permits=site.permits,
        clock=site.clock,
        vector=section.vector,
    )
    site.closing.callback(vectors.close)
    return vectors


def logs_of(site: Site, platform: PlatformPort) -> LogsPort:
    """Return where logs are looked up.

    Raises:
        ConfigurationError: what the kind needs is missing.
    """
    section = site.config.logs
    if section.kind == "platform":
        from adapters.logs.platform import PlatformLogs

        return PlatformLogs(platform)
    if section.kind == "files":
        from adapters.logs.files import FileLogs

        shape = {"pattern": section.pattern} if section.pattern else {}
        return FileLogs(paths=section.files, most_bytes=section.most_mib * 1024 * 1024, **shape)
    if section.http is None:
        raise ConfigurationError("logs.http.url", "is missing", f"Say where {section.kind} answers")
    endpoint = endpoint_of(section.http, site.settings, "logs")
    if section.kind == "loki":
        from adapters.logs.loki import LokiLogs

        loki = LokiLogs(
            endpoint=endpoint,
            clock=site.clock,
            selector=section.selector,
            level_label=section.level_label,
            tenant=section.tenant,
        )
        site.closing.callback(loki.close)
        return loki
    from adapters.logs.opensearch import OpenSearchLogs

    opensearch = OpenSearchLogs(
        endpoint=endpoint,
        clock=site.clock,
        index=section.index,
        time_field=section.time_field,
        text_field=section.text_field,
        level_field=section.level_field,
    )
    site.closing.callback(opensearch.close)
    return opensearch


def search_of(site: Site) -> SearchPort:
    """Return the OpenSearch index, or none."""
    section = site.config.search
    if section is None:
        from adapters.search.none import NoSearch

        return NoSearch()
    from adapters.search.opensearch import OpenSearchEngine, Ubi

    search = OpenSearchEngine(
        endpoint=endpoint_of(section, site.settings, "search"),
        clock=site.clock,
        index=section.index,
        fields=section.fields,
        ubi=Ubi(**section.ubi.model_dump()) if section.ubi else None,
    )
    site.closing.callback(search.close)
    return search


def feedback_of(site: Site) -> FeedbackPort:
    """Return users' feedback from the platform, or from a table of theirs, or none."""
    section = site.config.feedback
    if section is None:
        from adapters.feedback.none import NoFeedback

        return NoFeedback()
    if section.kind == "platform":
        from adapters.feedback.platform import PlatformFeedback

        platform = PlatformFeedback(
            endpoint=Endpoint(url=site.config.platform.url), clock=site.clock, path=section.path
        )
        site.closing.callback(platform.close)
        return platform
    from adapters.feedback.table import TableFeedback

    password = site.settings.feedback_password
    table = TableFeedback(
        url=section.database,
        clock=site.clock,
        table=section.table,
        columns=section.columns,
        time_type=section.time_type,
        timeout=timedelta(seconds=section.timeout_s),
        password=SecretStr(password) if password else None,
    )
    site.closing.callback(table.close)
    return table
