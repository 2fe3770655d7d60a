"""Sections of what says and shows what is live: the values, their delivery, silences and marks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from service.sections import HttpSection, Reached, Section


class AlertmanagerConfig(HttpSection):
    """Where alerts about our own watched changes are silenced."""


class GrafanaConfig(HttpSection):
    """Where promotions and roll-backs are marked: on the dashboard with this UID (and panel), or on all."""

    dashboard: str = ""
    panel: int | None = None


class ForgeConfig(HttpSection):
    """The service whose pull requests stand for approval; `project` is ``owner/name`` or GitLab's path or number.

    A request is asked about every `poll_s` seconds; how long it may stay open is the profile's `poll.approval_timeout`.
    """

    kind: Literal["github", "gitlab"]
    project: str = Field(min_length=1)
    poll_s: float = Field(default=10, gt=0, le=30)


class ValuesConfig(Section):
    """The GitOps repository that says what is served, and how it is reached.

    `mode` pull_request makes the merge the approval; then `emergency` says whether a roll-back may go straight to the
    branch.
    """

    remote: str
    branch: str = "main"
    path: str = "values.yaml"
    mode: Literal["commit", "pull_request"] = "commit"
    emergency: Literal["direct", "pull_request"] = "direct"
    username: str = ""
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    credential_helper: str = ""
    signing_key: str = ""
    depth: int | None = Field(default=None, ge=1)
    timeout_s: float = Field(default=30, gt=0, le=110)
    author_name: str = "Evercrew"
    author_email: str = "evercrew@localhost"
    forge: ForgeConfig | None = None
    layout: Mapping[str, Any] = Field(default_factory=dict)


class RolloutConfig(HttpSection):
    """The Kubernetes API and the Argo Rollout of the application; `token_file` is a service account's."""

    namespace: str = Field(min_length=1)
    name: str = Field(min_length=1)
    token_file: Path | None = None


class DeliveryConfig(Reached):
    """`local`: the platform follows the values by itself; `argocd`: an Argo CD application applies them.

    `application` is a template with ``{target}`` and ``{environment}``; `path` is what it is expected to follow, empty
    is not compared.
    """

    kind: Literal["local", "argocd"] = "local"
    url: str = Field(default="", pattern=r"^(https?://[^@\s]+)?$")
    application: str = "{target}-{environment}"
    app_namespace: str = ""
    project: str = ""
    path: str = ""
    rollout: RolloutConfig | None = None
