"""The schemas of Argo Rollouts' own API, as its objects look in the Kubernetes API.

The document is written for protobuf's JSON: moments, quantities and 64-bit numbers are spelt otherwise there, and are
put right here. Objects take no field it does not name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integrations.argocd.openapi import Specification

SWAGGER = Path(__file__).resolve().parents[4] / "shared" / "contracts" / "argo-rollouts" / "rollout.swagger.json"
ROLLOUT = "github.com.argoproj.argo_rollouts.pkg.apis.rollouts.v1alpha1.Rollout"
RUN_STATUS = "github.com.argoproj.argo_rollouts.pkg.apis.rollouts.v1alpha1.AnalysisRunStatus"
_ON_THE_WIRE: dict[str, Any] = {
    "k8s.io.apimachinery.pkg.apis.meta.v1.Time": {"type": "string", "format": "date-time"},
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": {},
    "k8s.io.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
}


def load() -> Specification:
    """Return the schemas."""
    document = json.loads(SWAGGER.read_text(encoding="utf-8"))
    document["definitions"] |= _ON_THE_WIRE
    fields = document["definitions"]["k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"]
    fields["generation"] = {"type": "integer"}
    return Specification(document)
