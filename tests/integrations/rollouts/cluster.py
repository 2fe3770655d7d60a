"""A Kubernetes API server in this process (kmock), and the objects of Argo Rollouts to put into it."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import kmock
from pydantic import SecretStr

from adapters.delivery.rollouts import ArgoRollouts
from adapters.rest import Endpoint
from domain.clock import FrozenClock
from domain.permit import PermitOffice

GROUP = "argoproj.io/v1alpha1"
NAMESPACE, NAME, UID = "search", "search", "5f0d8c1e-0000-4000-8000-000000000001"
NEW, STABLE = "66b5d4f9d8", "7c9d5b8c44"
PAUSED_AT = "2026-01-01T00:05:00Z"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ROLLOUT: dict[str, Any] = {
    "metadata": {"name": NAME, "namespace": NAMESPACE, "uid": UID, "generation": 3, "resourceVersion": "41"},
    "spec": {
        "replicas": 2,
        "strategy": {
            "canary": {
                "steps": [
                    {"setWeight": 20},
                    {"pause": {}},
                    {"setWeight": 60},
                    {"analysis": {"templates": [{"templateName": "quality"}]}},
                    {"pause": {"duration": "10m"}},
                ]
            }
        },
    },
    "status": {
        "phase": "Paused",
        "message": "CanaryPauseStep",
        "observedGeneration": "3",
        "currentStepIndex": 1,
        "currentPodHash": NEW,
        "stableRS": STABLE,
        "controllerPause": True,
        "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": PAUSED_AT}],
    },
}


def rollout(**status: Any) -> dict[str, Any]:
    """Return the Rollout, paused at its first step, with changes to its status."""
    made = copy.deepcopy(ROLLOUT)
    made["status"] |= status
    return made


def metric(name: str = "ndcg", phase: str = "Successful", values: tuple[str, ...] = ("[0.7]",), **counts: int) -> Any:
    """Return a metric's result; without counts all measurements were as the phase says."""
    measurements = [{"phase": phase, "value": value, "startedAt": PAUSED_AT} for value in values]
    by_phase = {"Successful": "successful", "Failed": "failed", "Inconclusive": "inconclusive", "Error": "error"}
    counts = counts or {by_phase[phase]: len(values)}
    return {"name": name, "phase": phase, "count": sum(counts.values()), "measurements": measurements, **counts}


def analysis(phase: str, *metrics: Any, name: str = "search-1", version: str = NEW, uid: str = UID) -> dict[str, Any]:
    """Return an AnalysisRun of the Rollout."""
    owner = {"apiVersion": GROUP, "kind": "Rollout", "name": NAME, "uid": uid, "controller": True}
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {"rollouts-pod-template-hash": version},
        "ownerReferences": [owner],
    }
    return {"metadata": metadata, "status": {"phase": phase, "metricResults": list(metrics)}}


class _Server(kmock.KubernetesEmulator):
    """A review of rights is answered and, as by a real server, not kept."""

    async def _handle(self, request: kmock.Request) -> Any:
        handler = kmock.KubernetesScaffold if str(request.url.path) == REVIEWS else kmock.KubernetesEmulator
        return await handler._handle(self, request)


class Cluster:
    """kmock on a loop of its own, in a thread."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.office = PermitOffice(self.clock)
        self.may_patch = True
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def __enter__(self) -> Cluster:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        self._loop.close()

    def rollouts(self, **changes: Any) -> ArgoRollouts:
        """Return the adapter."""
        settings: dict[str, Any] = {
            "endpoint": endpoint(self.url),
            "permits": self.office,
            "clock": self.clock,
            "namespace": NAMESPACE,
            "name": NAME,
        }
        return ArgoRollouts(**settings | changes)

    def put(self, what: dict[str, Any] | None, *runs: dict[str, Any]) -> None:
        """Put a Rollout and AnalysisRuns into the cluster."""

        def act() -> None:
            if what is not None:
                self._server.objects[f"{GROUP}/rollouts", NAMESPACE, NAME] = what
            self._server.resources[f"{GROUP}/analysisruns"] = kmock.ResourceInfo(kind="AnalysisRun", namespaced=True)
            for run in runs:
                self._server.objects[f"{GROUP}/analysisruns", NAMESPACE, run["metadata"]["name"]] = run

        self._in_loop(act)

    def change(self, **status: Any) -> None:
        """Change the Rollout's status, as its controller does."""
        self._in_loop(lambda: self._server.objects[f"{GROUP}/rollouts", NAMESPACE, NAME].patch({"status": status}))

    def rollout(self) -> dict[str, Any]:
        """Return the Rollout as it is."""
        found: list[dict[str, Any]] = []

        def act() -> None:
            found.append(json.loads(json.dumps(self._server.objects[f"{GROUP}/rollouts", NAMESPACE, NAME].raw)))

        self._in_loop(act)
        return found[0]

    def answer(self, what: str, answer: Any) -> None:
        """Answer a request (``"get /path"``) so from now on."""
        self._in_loop(lambda: self._server[what] << answer)

    def patches(self) -> list[dict[str, Any]]:
        """Return the patches that came in."""
        found: list[dict[str, Any]] = []
        self._in_loop(lambda: found.extend(dict(request.data) for request in self._server["patch"]))
        return found

    def _in_loop(self, act: Callable[[], object]) -> None:
        async def run() -> None:
            act()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    async def _serve(self) -> None:
        async with _Server() as self._server, kmock.Server(self._server) as listening:
            self.url = str(listening.url).rstrip("/")
            self._server[f"post {REVIEWS}"] << (lambda request: {"status": {"allowed": self.may_patch}})
            self._ready.set()
            await self._stop.wait()


def endpoint(url: str, **changes: Any) -> Endpoint:
    """Return an endpoint that does not wait long."""
    settings: dict[str, Any] = {
        "token": SecretStr("service-account-1"),
        "timeout": timedelta(seconds=30),
        "attempts": 2,
    }
    return Endpoint(url=url, **settings | changes)
