"""Values files as teams have them: Helm, Kustomize, plain manifests; each with the layout that reads it."""

from __future__ import annotations

from tools.deliver.values import ValuesLayout

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64

HELM = f"""\
# The search chart.
replicaCount: 3   # by the platform team

image:
    repository: "registry.example/search"
    tag: '1.4'      # bumped by releases
    pullPolicy: IfNotPresent

reranker: {{ name: reranker, version: "7", digest: {OLD} }}  # one line

canary:
-   name: champion
    digest: {OLD}
    weight: 100   # per cent

resources: &small
    limits: {{cpu: 500m, memory: 1Gi}}
sidecar:
    resources: *small
flags: [on, off, 012, 1_000]   # YAML 1.1 on purpose
note: |
    text with # no comment

    and a last line
"""
HELM_LAYOUT = ValuesLayout(
    model_name="reranker.name",
    model_version="reranker.version",
    model_digest="reranker.digest",
    variants="canary",
    mode="search.mode",
    tier=None,
    index_generation="index.generation",
    file="values-prod.yaml",
)

KUSTOMIZE = f"""\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../../base
images:
  - name: registry.example/gateway
    newTag: "3.1"
  - name: registry.example/search   # the model travels in the image
    newTag: "7"
    digest: {OLD}
"""
KUSTOMIZE_LAYOUT = ValuesLayout(
    model_name=None,
    model_version="images[name=registry.example/search].newTag",
    model_digest="images[name=registry.example/search].digest",
    variants=None,
    mode=None,
    tier=None,
    index_generation=None,
    file="overlays/production/kustomization.yaml",
)

MANIFESTS = f"""\
# Two documents in one file.
apiVersion: v1
kind: Service
metadata:
  name: search
spec:
  ports:
    - port: 80
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: search
  annotations:
    search.example/index-generation: "4"
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: proxy
          image: proxy:1
          env:
            - {{name: MODEL_DIGEST, value: none}}
        - name: app
          image: search:7
          env:
            - name: MODEL_NAME
              value: reranker
            - name: MODEL_VERSION
              value: "7"
            - name: MODEL_DIGEST
              value: {OLD}   # by content
            - name: SEARCH_MODE
              value: balanced
"""
_ENV = "Deployment/search#spec.template.spec.containers[name=app].env"
MANIFESTS_LAYOUT = ValuesLayout(
    model_name=f"{_ENV}[name=MODEL_NAME].value",
    model_version=f"{_ENV}[name=MODEL_VERSION].value",
    model_digest=f"{_ENV}[name=MODEL_DIGEST].value",
    variants=None,
    mode=f"{_ENV}[name=SEARCH_MODE].value",
    tier=None,
    index_generation=None,
    file="manifests/search.yaml",
)

ALL = {
    "helm": (HELM, HELM_LAYOUT),
    "kustomize": (KUSTOMIZE, KUSTOMIZE_LAYOUT),
    "manifests": (MANIFESTS, MANIFESTS_LAYOUT),
}
