"""The commented configuration that `evercrew init` writes."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.sections import URL

_TEXT = """\
# Evercrew: your platform and the systems around it. Check it with `evercrew doctor`.

# dev (seconds), staging (a person promotes) or production (full automation). A profile of your own: `profile: my.yaml`.
# A policy set and a contract of your own, read anew when they change: `policies: policies`, `contract: contract.yaml`.
environment: {environment}
target: {target}
# Who may approve what Evercrew may not do by itself, and cap what it may: docs/approvals.md.
people:
  {person}:
    roles: [admin, ml_lead, approver]
    os_users: [{person}]
# Everything Evercrew keeps: records, cycles, artifacts, caches.
state: .evercrew

platform:
  url: {platform}

metrics:
  # `prometheus` asks a Prometheus server; `scrape` reads the platform's /metrics page itself.
  kind: {metrics_kind}
  url: {metrics_url}

# The GitOps repository: what is served changes by commits to this file, and by nothing else.
values:
  remote: {values}
  branch: main
  path: values.yaml

tracking:
  uri: {tracking}
  model: reranker

datasets:
  repository: datasets
  remote: dvc-remote

# Judged queries that only the evaluator may read, as JSON lines.
evaluation:
  sealed: sealed/judgements.jsonl

# Your platform's own code for training, scoring and explaining, as module:function.
# jobs:
#   train: myplatform.jobs:train
#   score: myplatform.jobs:score
#   explain: myplatform.jobs:explain
#   digest: myplatform.bundle:digest

# Systems that need not be there. What each needs, and what happens when it fails: docs/integrations. Secrets are not in
# this file; they are EVERCREW_<SECTION>_TOKEN and EVERCREW_<SECTION>_PASSWORD in the environment.
# delivery:
#   kind: argocd
#   url: https://argocd.example
#   application: "{{target}}-{{environment}}"
# alertmanager:
#   url: https://alertmanager.example
# grafana:
#   url: https://grafana.example
# costs:
#   url: https://opencost.example
#   monthly_budget_usd: 300
# vectors:
#   url: https://qdrant.example
#   collection: search
# search:
#   url: https://opensearch.example
#   index: search
# logs:
#   kind: loki
#   selector: '{{app="search"}}'
#   http:
#     url: https://loki.example
# feedback:
#   kind: platform
# backup:
#   to: s3://backups/evercrew
# Who is told of approvals, hand-overs, rollbacks and the weekly report: docs/notifications.md.
# notify:
#   slack: {{}}
#   email:
#     host: mail.example
#     sender: evercrew@mail.example
#     to: [search-team@mail.example]

# `evercrew serve`: alerts, the API and the console. Senders of alerts prove themselves by EVERCREW_WEBHOOK_TOKEN (a
# bearer) or EVERCREW_WEBHOOK_SECRET (a signature): docs/webhooks.md.
# serve:
#   host: 127.0.0.1
#   port: 8080
#   # The address that links in notices and sign-in use; https makes cookies secure.
#   public_url: https://evercrew.example
#   # Addresses of reverse proxies whose word about the client is taken.
#   proxies: [10.0.0.5]
#   tls:
#     cert: tls/cert.pem
#     key: tls/key.pem
#   # Let anybody scrape /metrics; without, EVERCREW_SERVE_METRICS_TOKEN or an API token.
#   metrics_open: false
#   webhooks:
#     max_bytes: 1048576
#     window: 5m
#     generic:
#       auth: signature
#       per_minute: 1200

# Labels of alerts, and what they mean here: the first route that matches counts, before the alert's own labels.
# `evercrew alerts test alert.json` shows what a body would do.
# routes:
#   - match: {{team: search, alertname: "Relevance*"}}
#     signal: ndcg_at_10

# Other models that are looked after too, each a part of this file that is laid over it: docs/targets.md.
# targets:
#   ads:
#     platform:
#       url: https://ads.example

# Names of alerts that carry no label `signal`, and the signals they stand for.
alert_names:
  SearchQualityDrop: ndcg_at_10
  SearchLatencyHigh: latency_p95_ms
"""


class Site(BaseModel):
    """What the configuration starts from: the answers to the questions of `evercrew init`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    platform: str = Field(
        default="http://127.0.0.1:8000", pattern=URL, description="Where your search platform answers (http or https)"
    )
    environment: Literal["dev", "staging", "production"] = Field(
        default="staging", description="Environment: dev, staging or production"
    )
    target: str = Field(
        default="search", pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name of the platform, in small letters"
    )
    prometheus: str = Field(
        default="",
        pattern=r"^(https?://[^@\s]+)?$",
        description="Where Prometheus answers (nothing: the platform's own /metrics page is read)",
    )
    values: str = Field(
        default="https://git.example/search-values.git",
        pattern=r"^[^\s#{}]+$",
        description="Git repository with the values file",
    )
    tracking: str = Field(
        default="sqlite:///mlflow.db",
        pattern=r"^(https?|sqlite|postgresql)[a-z+]*://[^\s#{}]+$",
        description="MLflow: a server's address, or sqlite:///file",
    )
    person: str = "operator"


def starter(site: Site) -> str:
    """Return the text for this site; its person may approve."""
    platform, prometheus = site.platform.rstrip("/"), site.prometheus.rstrip("/")
    return _TEXT.format(
        platform=platform,
        environment=site.environment,
        target=site.target,
        metrics_kind="prometheus" if prometheus else "scrape",
        metrics_url=prometheus or f"{platform}/metrics",
        values=site.values,
        tracking=site.tracking,
        person=json.dumps(site.person),
    )
