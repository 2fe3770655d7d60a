"""Systems that are looked at, each built from its section of the configuration: metrics, costs, vectors, logs, search
and feedback. One that is left out builds none.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import SecretStr

from adapters.costs.base import CostsPort
from adapters.feedback.base import FeedbackPort
from adapters.logs.base import LogsPort
from adapters.metrics.base import MetricsPort
from adapters.platform.base import PlatformPort
from adapters.rest import Endpoint
from adapters.search.base import SearchPort
from adapters.vectors.base import VectorsPort
from domain.errors import ConfigurationError
from service.endpoints import endpoint_of
from service.site import Site


def metrics_of(site: Site) -> MetricsPort:
    """Return the metrics of a Prometheus, or of the platform's own page, scraped from now on.

    Where labels tell the target's series from others, no other series are read.
    """
    from adapters.metrics.labelled import LabelledMetrics

    found, labels = _metrics_of(site), site.config.metrics.labels
    return LabelledMetrics(found, labels) if labels else found


def _metrics_of(site: Site) -> MetricsPort:
    section = site.config.metrics
    if section.kind == "prometheus":
        from adapters.metrics.prometheus import PrometheusMetrics

        return site.keep(
            PrometheusMetrics(
                endpoint=endpoint_of(section, site.settings, "metrics"),
                clock=site.clock,
                lookback=timedelta(seconds=section.lookback_s),
            )
        )
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


def costs_of(site: Site) -> CostsPort:
    """Return OpenCost's or Kubecost's allocation, or none."""
    section = site.config.costs
    if section is None:
        from adapters.costs.none import NoCosts

        return NoCosts()
    from adapters.costs.opencost import OpenCostCosts

    return site.keep(
        OpenCostCosts(
            endpoint=endpoint_of(section, site.settings, "costs"),
            clock=site.clock,
            path=section.path,
            aggregate=section.aggregate,
            names={site.config.target: site.config.target, **section.names},
            filter=section.filter,
            share_idle=section.share_idle,
            monthly_budget_usd=section.monthly_budget_usd,
        )
    )


def vectors_of(site: Site) -> VectorsPort:
    """Return the Qdrant collection, or none."""
    section = site.config.vectors
    if section is None:
        from adapters.vectors.none import NoVectors

        return NoVectors()
    from adapters.vectors.qdrant import QdrantVectors

    return site.keep(
        QdrantVectors(
            endpoint=endpoint_of(section, site.settings, "vectors"),
            collection=section.collection,
            permits=site.permits,
            clock=site.clock,
            vector=section.vector,
        )
    )


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

        return site.keep(
            LokiLogs(
                endpoint=endpoint,
                clock=site.clock,
                selector=section.selector,
                level_label=section.level_label,
                tenant=section.tenant,
            )
        )
    from adapters.logs.opensearch import OpenSearchLogs

    return site.keep(
        OpenSearchLogs(
            endpoint=endpoint,
            clock=site.clock,
            index=section.index,
            time_field=section.time_field,
            text_field=section.text_field,
            level_field=section.level_field,
        )
    )


def search_of(site: Site) -> SearchPort:
    """Return the OpenSearch index, or none."""
    section = site.config.search
    if section is None:
        from adapters.search.none import NoSearch

        return NoSearch()
    from adapters.search.opensearch import OpenSearchEngine, Ubi

    return site.keep(
        OpenSearchEngine(
            endpoint=endpoint_of(section, site.settings, "search"),
            clock=site.clock,
            index=section.index,
            fields=section.fields,
            ubi=Ubi(**section.ubi.model_dump()) if section.ubi else None,
        )
    )


def feedback_of(site: Site) -> FeedbackPort:
    """Return users' feedback from the platform, or from a table of theirs, or none."""
    section = site.config.feedback
    if section is None:
        from adapters.feedback.none import NoFeedback

        return NoFeedback()
    if section.kind == "platform":
        from adapters.feedback.platform import PlatformFeedback

        return site.keep(
            PlatformFeedback(endpoint=Endpoint(url=site.config.platform.url), clock=site.clock, path=section.path)
        )
    from adapters.feedback.table import TableFeedback

    password = site.settings.feedback_password
    return site.keep(
        TableFeedback(
            url=section.database,
            clock=site.clock,
            table=section.table,
            columns=section.columns,
            time_type=section.time_type,
            timeout=timedelta(seconds=section.timeout_s),
            password=SecretStr(password) if password else None,
        )
    )
