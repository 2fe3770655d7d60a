"""What an application is, and how it reads as Argo CD's JSON."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from testbed.argocd.state import HOOK, RUNNING, Deployed, Operation, View

Json = dict[str, Any]


@dataclass(frozen=True)
class Application:
    """The specification: which branch and path of which repository it follows, and whether by itself."""

    name: str
    repo_url: str
    branch: str = "main"
    path: str = "."
    project: str = "default"
    namespace: str = "argocd"
    automated: bool = True

    def with_automated(self, on: bool) -> Application:
        """Return the application with automated sync on or off."""
        return replace(self, automated=on)

    @property
    def source(self) -> Json:
        """Its source, as the API shows it."""
        return {"repoURL": self.repo_url, "path": self.path, "targetRevision": self.branch}

    @property
    def destination(self) -> Json:
        """Where it runs, as the API shows it."""
        return {"server": "https://kubernetes.default.svc", "namespace": self.name}


def as_json(application: Application, view: View) -> Json:
    """Return the Application object."""
    memory = view.memory
    spec: Json = {
        "project": application.project,
        "source": application.source,
        "destination": application.destination,
    }
    if application.automated:
        spec["syncPolicy"] = {"automated": {"prune": True, "selfHeal": True}}
    body: Json = {
        "metadata": {
            "name": application.name,
            "namespace": application.namespace,
            "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, application.name)),
            "resourceVersion": str(memory.version),
            "generation": memory.version,
            "creationTimestamp": stamp(memory.created),
        },
        "spec": spec,
        "status": _status(application, view),
    }
    if memory.operation is not None and memory.operation.phase == RUNNING:
        body["operation"] = _operation(memory.operation)
    return body


def tree(application: Application, view: View) -> Json:
    """Return the resource tree: a Deployment with its Pod, and the ConfigMap of the values."""
    health: Json = {"status": view.health.status}
    if view.health.message:
        health["message"] = view.health.message
    since = stamp(view.memory.created)
    name, namespace = application.name, application.name
    deployment = {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": namespace, "name": name}
    pod = {"version": "v1", "kind": "Pod", "namespace": namespace, "name": f"{name}-0"}
    values = {"version": "v1", "kind": "ConfigMap", "namespace": namespace, "name": f"{name}-values"}
    nodes = [
        {**deployment, "uid": f"{name}-deployment", "health": health, "createdAt": since},
        {**pod, "uid": f"{name}-pod", "health": health, "createdAt": since, "parentRefs": [deployment]},
        {**values, "uid": f"{name}-values", "createdAt": since, "info": [{"name": "Revision", "value": view.applied}]},
    ]
    return {"nodes": nodes}


def stamp(moment: datetime) -> str:
    """Return a moment as the API writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _status(application: Application, view: View) -> Json:
    memory = view.memory
    status: Json = {
        "sync": {
            "status": view.synced,
            "revision": memory.head,
            "comparedTo": {"source": application.source, "destination": application.destination},
        },
        "health": {"status": view.health.status},
        "resources": _resources(application, view),
        "history": [_entry(application, entry) for entry in memory.history],
        "sourceType": "Directory",
        "summary": {},
    }
    if memory.reconciled is not None:
        status["reconciledAt"] = stamp(memory.reconciled)
    if memory.problem:
        since = stamp(memory.problem_since or memory.created)
        condition = {"type": "ComparisonError", "message": memory.problem, "lastTransitionTime": since}
        status["conditions"] = [condition]
    if memory.operation is not None:
        status["operationState"] = _operation_state(application, memory.operation)
    return status


def _resources(application: Application, view: View) -> list[Json]:
    common = {"version": "v1", "namespace": application.name, "status": view.synced}
    health: Json = {"status": view.health.status}
    if view.health.message:
        health["message"] = view.health.message
    return [
        {**common, "group": "apps", "kind": "Deployment", "name": application.name, "health": health},
        {**common, "kind": "ConfigMap", "name": f"{application.name}-values"},
    ]


def _entry(application: Application, entry: Deployed) -> Json:
    return {
        "id": entry.id,
        "revision": entry.revision,
        "deployStartedAt": stamp(entry.started),
        "deployedAt": stamp(entry.at),
        "source": application.source,
        "initiatedBy": _initiator(entry.by),
    }


def _initiator(by: str) -> Json:
    return {"username": by} if by else {"automated": True}


def _operation(operation: Operation) -> Json:
    body: Json = {
        "sync": {"revision": operation.revision, "prune": operation.automated},
        "initiatedBy": _initiator(operation.by),
    }
    if operation.infos:
        body["info"] = [{"name": name, "value": value} for name, value in operation.infos]
    return body


def _operation_state(application: Application, operation: Operation) -> Json:
    result: Json = {"revision": operation.revision, "source": application.source, "resources": []}
    if operation.hook:
        hook = {"group": "batch", "version": "v1", "kind": "Job", "namespace": application.name, "name": HOOK}
        said = "Job has reached the specified backoff limit" if operation.hook == "Failed" else ""
        result["resources"].append(
            {**hook, "hookType": "PreSync", "hookPhase": operation.hook, "syncPhase": "PreSync", "message": said}
        )
    state: Json = {
        "operation": _operation(operation),
        "phase": operation.phase,
        "message": operation.message,
        "startedAt": stamp(operation.started),
        "syncResult": result,
    }
    if operation.finished is not None:
        state["finishedAt"] = stamp(operation.finished)
    return state
