"""A Kubernetes API server for Jobs: ConfigMaps, Jobs with their pods and logs, and one claim; nothing is run.

Tests say how a Job goes on with `finish` and `fail`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.stubs.small_server import Asked, Said, said


@dataclass
class JobsApi:
    """The objects of one namespace by kind and name, and the logs of Jobs."""

    claim: str = "llm-studio"
    objects: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {"jobs": {}, "configmaps": {}, "persistentvolumeclaims": {}}
    )
    logs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.claim:
            self.objects["persistentvolumeclaims"][self.claim] = {"kind": "PersistentVolumeClaim"}

    def __call__(self, asked: Asked) -> Said:
        """Answer one request."""
        parts = asked.path.split("/namespaces/test/", 1)
        if len(parts) != 2:
            return _status(404, "NotFound")
        kind, _, name = parts[1].partition("/")
        if kind == "pods":
            return self._pods(asked, name)
        if kind not in self.objects:
            return _status(404, "NotFound")
        known = self.objects[kind]
        if asked.method == "POST":
            return self._create(known, asked.json())
        if not name:
            return said({"kind": "JobList", "apiVersion": "batch/v1", "items": list(known.values())})
        if name not in known:
            return _status(404, "NotFound")
        return said(known.pop(name) if asked.method == "DELETE" else known[name])

    def finish(self, name: str, flags: str, lines: str = "") -> None:
        """Let a Job end well, with this in its flags."""
        self._end(name, "Complete", "", f"{lines}\nevercrew-flags {flags}\n")

    def fail(self, name: str, reason: str, lines: str = "") -> None:
        """Let a Job fail."""
        self._end(name, "Failed", reason, f"{lines}\nevercrew-flags \n")

    def _end(self, name: str, kind: str, reason: str, log: str) -> None:
        condition = {"type": kind, "status": "True", "reason": reason}
        self.objects["jobs"][name]["status"] = {"conditions": [condition]}
        self.logs[name] = log

    def _create(self, known: dict[str, dict[str, Any]], body: dict[str, Any]) -> Said:
        name = body["metadata"]["name"]
        if name in known:
            return _status(409, "AlreadyExists")
        known[name] = {**body, "status": {"active": 1}} if body["kind"] == "Job" else body
        return said(known[name], 201)

    def _pods(self, asked: Asked, name: str) -> Said:
        if name.endswith("/log"):
            return Said(200, self.logs.get(name.removesuffix("-pod/log"), "").encode(), "text/plain")
        job = asked.query.get("labelSelector", "").removeprefix("job-name=")
        items = [{"metadata": {"name": f"{job}-pod"}}] if job in self.objects["jobs"] else []
        return said({"kind": "PodList", "items": items})


def _status(code: int, reason: str) -> Said:
    return Said(code, json.dumps({"kind": "Status", "status": "Failure", "reason": reason, "code": code}).encode())
