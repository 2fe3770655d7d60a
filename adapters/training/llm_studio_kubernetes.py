"""H2O LLM Studio as Jobs of a Kubernetes cluster, through the API server.

An experiment is a ConfigMap (configuration and data set) and a Job of the same name, which mounts the claim that keeps
outputs. A claim cannot be read through the API: the container tells at its end, in a line of its log, what is in
``flags.json``, and figures are read from the program's own log lines. The model stays on the claim.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.rest import Endpoint, NotFound, RestClient
from adapters.training.llm_studio_charts import NAME
from adapters.training.llm_studio_shell import Look, Place
from domain.clock import Clock
from domain.errors import ConfigurationError, ConflictError, DependencyLied, InvalidInput

MOST_BYTES = 900_000
"""A ConfigMap holds a mebibyte; larger data sets belong on the claim."""
_MARK = "evercrew-flags "
_METRIC = re.compile(r"INFO: (Validation|Train) ([\w .-]+): (-?\d+\.\d+)")
_NAME = re.compile(r"[^a-z0-9-]+")


class KubernetesHost:
    """`StudioHost` by Jobs. `image` holds the program in its working folder; `claim` keeps outputs under /mount."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        clock: Clock,
        namespace: str,
        image: str,
        claim: str = "llm-studio",
        gpus: int = 1,
        memory: str = "32Gi",
        python: str = "python",
    ) -> None:
        if not image:
            raise ConfigurationError("llm_studio.image", "is not given", "Name the image with H2O LLM Studio")
        self._client = RestClient(endpoint, name=NAME, field="llm_studio.kubernetes", clock=clock)
        self._namespace = namespace
        self._image = image
        self._claim = claim
        self._gpus = gpus
        self._memory = memory
        self._python = python

    def place(self, key: str, dataset: str) -> Place:
        """See `StudioHost.place`."""
        return Place(f"/given/{dataset}", f"/mount/{key}")

    def submit(self, key: str, config: str, dataset: Path, timeout: timedelta) -> None:
        """See `StudioHost.submit`."""
        data = dataset.read_bytes()
        if len(data) > MOST_BYTES:
            raise InvalidInput("dataset", f"{dataset.name} has {len(data)} bytes", f"Jobs take at most {MOST_BYTES}")
        known = self._job(key)
        if known is not None:
            if not _failed(known):
                return
            self.stop(key)
        files = {"cfg.yaml": config.encode(), dataset.name: data}
        encoded = {name: base64.b64encode(content).decode() for name, content in files.items()}
        meta = {"name": _name(key), "labels": {"app.kubernetes.io/managed-by": "evercrew"}}
        given = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": encoded}
        self._create("/api/v1", "configmaps", given)
        self._create("/apis/batch/v1", "jobs", self._manifest(key, meta, timeout))

    def look(self, key: str) -> Look | None:
        """See `StudioHost.look`."""
        job = self._job(key)
        if job is None:
            return None
        status = job.get("status")
        if not isinstance(status, Mapping):
            raise DependencyLied(NAME, f"the Job {_name(key)} has no status", "Check the API server")
        log = self._log(key)
        told = [line.split(_MARK, 1)[1] for line in log.splitlines() if _MARK in line]
        reason = next((str(c.get("reason", "")) for c in _conditions(status) if c.get("type") == "Failed"), "")
        ended = _condition(status, "Complete") or _condition(status, "Failed")
        return Look(
            running=not ended,
            exit_code=(0 if _condition(status, "Complete") else 1) if ended else None,
            flags=told[-1] if told else "",
            log="\n".join(line for line in log.splitlines() if _MARK not in line),
            reason=reason,
            metrics={f"{kind.lower()}_{name}": float(value) for kind, name, value in _METRIC.findall(log)},
        )

    def fetch(self, key: str, into: Path) -> None:
        """See `StudioHost.fetch`: a note of where the model is."""
        (into / "model_path").write_text(f"{self._claim}:{self.place(key, '').output}\n", encoding="utf-8")

    def stop(self, key: str) -> None:
        """See `StudioHost.stop`; a Job's pods go with it."""
        for group, kind in (("/apis/batch/v1", "jobs"), ("/api/v1", "configmaps")):
            path = f"{self._path(group, kind)}/{_name(key)}"
            try:
                self._client.request("DELETE", path, json={"propagationPolicy": "Background"}, repeatable=True)
            except NotFound:
                continue

    def check(self) -> str:
        """See `StudioHost.check`."""
        found = self._client.get(self._path("/apis/batch/v1", "jobs"), {"limit": 1})
        if not isinstance(found, Mapping) or found.get("kind") != "JobList":
            raise DependencyLied(NAME, "what answers is no Kubernetes API", "Check llm_studio.kubernetes.url")
        try:
            self._client.get(f"{self._path('/api/v1', 'persistentvolumeclaims')}/{self._claim}")
        except NotFound as error:
            problem = f"there is no claim {self._claim} in {self._namespace}"
            raise ConfigurationError("llm_studio.claim", problem, "Create it: outputs are kept there") from error
        return f"{NAME}: Jobs of {self._image} in {self._namespace}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _path(self, group: str, kind: str) -> str:
        return f"{group}/namespaces/{self._namespace}/{kind}"

    def _job(self, key: str) -> Mapping[str, Any] | None:
        try:
            found = self._client.get(f"{self._path('/apis/batch/v1', 'jobs')}/{_name(key)}")
        except NotFound:
            return None
        if not isinstance(found, Mapping):
            raise DependencyLied(NAME, "the API server answered with no object", "Check llm_studio.kubernetes.url")
        return found

    def _create(self, group: str, kind: str, manifest: Mapping[str, Any]) -> None:
        try:
            self._client.request("POST", self._path(group, kind), json=manifest)
        except ConflictError:
            return  # another process was first, under the same key

    def _log(self, key: str) -> str:
        pods = self._client.get(self._path("/api/v1", "pods"), {"labelSelector": f"job-name={_name(key)}"})
        items = pods.get("items") if isinstance(pods, Mapping) else None
        if not isinstance(items, list) or not items:
            return ""
        name = str(items[-1]["metadata"]["name"])
        try:
            return self._client.text("GET", f"{self._path('/api/v1', 'pods')}/{name}/log", params={"tailLines": 500})
        except (NotFound, InvalidInput):
            return ""  # its container has not started yet

    def _manifest(self, key: str, meta: Mapping[str, Any], timeout: timedelta) -> dict[str, Any]:
        output = shlex.quote(self.place(key, "").output)
        script = (
            f"mkdir -p {output}; {shlex.quote(self._python)} llm_studio/train.py -Y /given/cfg.yaml; code=$?; "
            f'echo "{_MARK}$(cat {output}/flags.json 2>/dev/null)"; exit $code'
        )
        limits = {"memory": self._memory, **({"nvidia.com/gpu": str(self._gpus)} if self._gpus else {})}
        container = {
            "name": "train",
            "image": self._image,
            "command": ["sh", "-c", script],
            "resources": {"limits": limits, "requests": {"memory": self._memory}},
            "volumeMounts": [
                {"name": "given", "mountPath": "/given", "readOnly": True},
                {"name": "kept", "mountPath": "/mount"},
            ],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        pod = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [
                {"name": "given", "configMap": {"name": _name(key)}},
                {"name": "kept", "persistentVolumeClaim": {"claimName": self._claim}},
            ],
        }
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": dict(meta),
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": int(timeout.total_seconds()),
                "template": {"metadata": {"labels": dict(meta["labels"])}, "spec": pod},
            },
        }


def _conditions(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [c for c in status.get("conditions") or [] if isinstance(c, Mapping) and c.get("status") == "True"]


def _condition(status: Mapping[str, Any], kind: str) -> bool:
    return any(c.get("type") == kind for c in _conditions(status))


def _failed(job: Mapping[str, Any]) -> bool:
    return _condition(job.get("status") or {}, "Failed")


def _name(key: str) -> str:
    """The key as a DNS label; two keys that differ only in what is replaced are told apart by a hash of the key."""
    plain = _NAME.sub("-", key.lower()).strip("-")
    return f"studio-{plain}" if plain == key and len(plain) <= 50 else f"studio-{plain[:40]}-{_short(key)}"


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]
