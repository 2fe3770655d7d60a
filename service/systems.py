"""Systems that say and show what is live, each built from its section of the configuration: the values, their delivery,
silences and marks. One that is left out builds none.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import SecretStr, ValidationError

from adapters.annotations.base import AnnotationsPort
from adapters.delivery.base import DeliveryPort, RolloutPort
from adapters.platform.base import PlatformPort
from adapters.silences.base import SilencesPort
from adapters.vcs.access import GitAccess
from adapters.vcs.base import VcsPort
from adapters.vcs.git import GitVcs
from domain.errors import ConfigurationError
from service.config import Config
from service.endpoints import endpoint_of
from service.site import Site
from tools.deliver.values import DEFAULT_LAYOUT, ValuesLayout

# A call through the door ends after two minutes; the engine comes back to a request that is still open.
PATIENCE = timedelta(seconds=90)


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
        anchor=site.anchor,
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

    return site.keep(
        ArgoRollouts(
            endpoint=endpoint_of(section, site.settings, "rollout"),
            permits=site.permits,
            clock=site.clock,
            namespace=section.namespace,
            name=section.name,
            token_file=section.token_file,
        )
    )


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
    return site.keep(
        ArgoCdDelivery(
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
    )


def silences_of(site: Site) -> SilencesPort:
    """Return the Alertmanager's silences, or none."""
    section = site.config.alertmanager
    if section is None:
        from adapters.silences.none import NoSilences

        return NoSilences(site.permits)
    from adapters.silences.alertmanager import AlertmanagerSilences

    endpoint = endpoint_of(section, site.settings, "alertmanager")
    return site.keep(AlertmanagerSilences(endpoint=endpoint, clock=site.clock, permits=site.permits))


def annotations_of(site: Site) -> AnnotationsPort:
    """Return Grafana's annotations, or none."""
    section = site.config.grafana
    if section is None:
        from adapters.annotations.none import NoAnnotations

        return NoAnnotations(site.permits)
    from adapters.annotations.grafana import GrafanaAnnotations

    return site.keep(
        GrafanaAnnotations(
            endpoint=endpoint_of(section, site.settings, "grafana"),
            clock=site.clock,
            permits=site.permits,
            dashboard=section.dashboard,
            panel=section.panel,
        )
    )
