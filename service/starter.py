"""The commented configuration that `evercrew init` writes."""

from __future__ import annotations

import json

_TEXT = """\
# Evercrew: your platform and the systems around it. Check it with `evercrew doctor`.

# dev (seconds), staging (a person promotes) or production (full automation). A profile of your own: `profile: my.yaml`.
# A policy set of your own, read anew when it changes: `policies: policies`.
environment: staging
target: search
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
  kind: scrape
  url: {platform}/metrics

# The GitOps repository: what is served changes by commits to this file, and by nothing else.
values:
  remote: https://git.example/search-values.git
  branch: main
  path: values.yaml

tracking:
  uri: sqlite:///mlflow.db
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

# Names of alerts that carry no label `signal`, and the signals they stand for.
alert_names:
  SearchQualityDrop: ndcg_at_10
  SearchLatencyHigh: latency_p95_ms
"""


def starter(platform: str, person: str = "operator") -> str:
    """Return the text, with the platform's address filled in, and the account of a person who may approve."""
    return _TEXT.format(platform=platform.rstrip("/"), person=json.dumps(person))
