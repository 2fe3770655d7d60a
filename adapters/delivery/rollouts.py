"""Argo Rollouts, where the application has a Rollout: how far a new version is, what its analyses say, and the hand
on the lever: pause, resume, abort.

Read and patched through the Kubernetes API. An effect leaves its key in an annotation before it changes the status
(a status can carry no annotation), so that it is found again: the annotation says what was asked for, the status
whether it came about.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from adapters.delivery.base import RolloutStatus
from adapters.delivery.kubernetes import KubernetesApi
from adapters.delivery.rollouts_state import KEYS, NAME, AnalysisRun, Pause, Rollout, parsed
from adapters.rest import Endpoint, NotFound
from domain.clock import Clock
from domain.errors import ConfigurationError, ConflictError
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier
from domain.verdict import Judgement, combine

EFFECT_PAUSE = "rollout.pause"
EFFECT_RESUME = "rollout.resume"
EFFECT_ABORT = "rollout.abort"

FIELD = "delivery.rollout"
_GROUP = "argoproj.io/v1alpha1"
_HASH_LABEL = "rollouts-pod-template-hash"
_KEPT = 16


class _Made(BaseModel):
    """An effect that was asked for; `pauses` are the starts of the pauses that a resume is to end."""

    model_config = ConfigDict(frozen=True)

    effect: str
    key: str
    pauses: tuple[datetime, ...] = ()


_MADE = TypeAdapter(tuple[_Made, ...])


class RolloutState(BaseModel):
    """How far a new version is.

    `phase` is Healthy, Progressing, Paused or Degraded; empty while the controller has not seen the present
    specification. `weight` is the new version's share of the traffic in percent, None when unknown; `step` the index
    of the present one of `steps`.
    """

    model_config = ConfigDict(frozen=True)

    phase: str
    message: str = ""
    updating: bool = False
    weight: int | None = None
    step: int | None = None
    steps: int = 0
    paused: bool = False
    pauses: tuple[Pause, ...] = ()
    aborted: bool = False
    version: str = ""
    stable: str = ""


class ArgoRollouts:
    """One Rollout.

    Args:
        endpoint: the Kubernetes API server, with a token or a client's certificate.
        token_file: of the service account, inside a cluster.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        permits: PermitVerifier,
        clock: Clock,
        namespace: str,
        name: str,
        token_file: Path | None = None,
    ) -> None:
        self._api = KubernetesApi(endpoint, clock=clock, name=NAME, field=FIELD, token_file=token_file)
        self._permits = permits
        self._namespace = namespace
        self._name = name

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def state(self) -> RolloutState:
        """Return how far the new version is.

        Raises:
            ConfigurationError: there is no such Rollout. Otherwise as `RestClient.request`.
        """
        rollout = self._read()
        status = rollout.status
        return RolloutState(
            phase=status.phase if rollout.settled else "",
            message=status.message,
            updating=rollout.updating,
            weight=rollout.weight,
            step=status.step,
            steps=len(rollout.spec.strategy.canary.steps),
            paused=rollout.paused,
            pauses=status.pauses,
            aborted=status.abort,
            version=status.current,
            stable=status.stable,
        )

    def analyses(self) -> Sequence[AnalysisRun]:
        """Return the AnalysisRuns of the present version of this Rollout."""
        return self._runs(self._read())

    def status(self) -> RolloutStatus:
        """See `RolloutPort.status`."""
        state, runs = self.state(), self.analyses()
        return RolloutStatus(
            **state.model_dump(include={"phase", "message", "updating", "weight", "step", "steps", "aborted"}),
            pauses=tuple(pause.reason for pause in state.pauses) or (("by hand",) if state.paused else ()),
            analyses=tuple(run.judge() for run in runs),
        )

    def judge(self) -> Judgement:
        """Return what the analyses of the present version say together; without any it is insufficient."""
        return combine([run.judge() for run in self.analyses()], self._name)

    def pause(self, *, key: str, permit: Permit | None) -> None:
        """Keep the new version where it is."""
        self._permits.spend(permit, effect=EFFECT_PAUSE, key=key)
        rollout = self._read()
        if not self._found(rollout, key):
            self._leave(rollout, _Made(effect=EFFECT_PAUSE, key=key), {"paused": True})

    def resume(self, *, key: str, permit: Permit | None) -> None:
        """End the present pause; the Rollout goes on to its next step.

        Raises:
            ConflictError: it is not paused, or was aborted; or somebody else changed it just now.
        """
        self._permits.spend(permit, effect=EFFECT_RESUME, key=key)
        rollout = self._read()
        made = self._found(rollout, key)
        if made is not None and self._happened(made, rollout):
            return
        if rollout.status.abort or not rollout.paused:
            what = "was aborted" if rollout.status.abort else "is not paused"
            raise ConflictError(f"{NAME}: {self._name} {what}, there is nothing to resume")
        if made is None or rollout.spec.paused:
            starts = tuple(pause.since for pause in rollout.status.pauses if pause.since is not None)
            entry = made or _Made(effect=EFFECT_RESUME, key=key, pauses=starts)
            self._leave(rollout, entry, {"paused": False} if rollout.spec.paused else {})
        if rollout.status.pauses:
            self._patch({"status": {"pauseConditions": None}}, subresource="status")

    def abort(self, *, key: str, permit: Permit | None) -> None:
        """Give all traffic back to the stable version.

        What is desired still is the new version: revert it in git as well.

        Raises:
            ConflictError: no new version is on its way; or somebody else changed it just now.
        """
        self._permits.spend(permit, effect=EFFECT_ABORT, key=key)
        rollout = self._read()
        made = self._found(rollout, key)
        if made is not None and self._happened(made, rollout):
            return
        if not rollout.updating:
            raise ConflictError(f"{NAME}: {self._name} has no new version on its way, there is nothing to abort")
        if made is None:
            self._leave(rollout, _Made(effect=EFFECT_ABORT, key=key), {})
        self._patch({"status": {"abort": True}}, subresource="status")

    def observe(self, key: str) -> Observation:
        """Return what became of the pause, resume or abort with this key; outcome has ``effect`` and ``phase``."""
        rollout = self._read()
        made = self._found(rollout, key)
        if made is None:
            return Observation.absent("the Rollout's annotation does not hold the key")
        if self._happened(made, rollout):
            return Observation.done({"effect": made.effect, "phase": rollout.status.phase})
        return Observation.absent(f"{made.effect} was begun, and the Rollout's status does not show it")

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError or ConfigurationError.

        Reading has to be allowed. The line says whether pause, resume and abort would be, which a cycle does not need.
        """
        version = self._api.version()
        state = self.state()
        self.analyses()
        weight = "unknown" if state.weight is None else f"{state.weight} %"
        phase = state.phase or "not seen yet"
        return f"{NAME}: Kubernetes {version}, {self._name} is {phase}, canary weight {weight}; {self._rights()}"

    def _rights(self) -> str:
        places = {"rollouts": "", "rollouts/status": "status"}
        missing = [
            name
            for name, subresource in places.items()
            if not self._api.may("patch", _GROUP, self._namespace, "rollouts", subresource=subresource)
        ]
        return f"read only: patch of {' and '.join(missing)} is not allowed" if missing else "patch is allowed"

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _read(self) -> Rollout:
        try:
            answer = self._api.get(_GROUP, self._namespace, "rollouts", self._name)
        except NotFound as error:
            raise ConfigurationError(
                f"{FIELD}.name",
                f"there is no Rollout {self._name!r} in namespace {self._namespace!r}, or the cluster has no Argo "
                f"Rollouts: {error.problem}",
                f"Check {FIELD}.name and {FIELD}.namespace, and that the custom resources are installed",
            ) from error
        rollout: Rollout = parsed(Rollout, answer)
        return rollout

    def _runs(self, rollout: Rollout) -> list[AnalysisRun]:
        try:
            listed = self._api.list(_GROUP, self._namespace, "analysisruns")
        except NotFound as error:
            problem = f"the cluster has no AnalysisRuns: {error.problem}"
            raise ConfigurationError(FIELD, problem, "Install the custom resources of Argo Rollouts") from error
        runs: list[AnalysisRun] = [parsed(AnalysisRun, item) for item in listed]
        return [run for run in runs if self._owns(rollout, run)]

    def _owns(self, rollout: Rollout, run: AnalysisRun) -> bool:
        mine = any(o.kind == "Rollout" and o.uid == rollout.metadata.uid for o in run.metadata.owners)
        return mine and run.metadata.labels.get(_HASH_LABEL) == rollout.status.current

    def _leave(self, rollout: Rollout, made: _Made, spec: dict[str, Any]) -> None:
        """Write the key into the annotation, with what of the specification changes; refused when it moved on."""
        kept = [entry for entry in self._made(rollout) if entry.key != made.key][-_KEPT + 1 :]
        entries = [entry.model_dump(mode="json") for entry in (*kept, made)]
        metadata: dict[str, Any] = {"annotations": {KEYS: json.dumps(entries)}}
        if rollout.metadata.version:
            metadata["resourceVersion"] = rollout.metadata.version
        self._patch({"metadata": metadata, **({"spec": spec} if spec else {})})

    def _patch(self, change: dict[str, Any], subresource: str = "") -> None:
        self._api.patch(_GROUP, self._namespace, "rollouts", self._name, change, subresource=subresource)

    def _made(self, rollout: Rollout) -> tuple[_Made, ...]:
        try:
            return _MADE.validate_json(rollout.metadata.annotations.get(KEYS, "[]"))
        except ValidationError:
            return ()  # somebody else wrote there; what it held is lost

    def _found(self, rollout: Rollout, key: str) -> _Made | None:
        return next((made for made in self._made(rollout) if made.key == key), None)

    @staticmethod
    def _happened(made: _Made, rollout: Rollout) -> bool:
        if made.effect == EFFECT_RESUME:
            # A pause that began later is another one.
            return not {pause.since for pause in rollout.status.pauses} & set(made.pauses)
        if made.effect == EFFECT_ABORT:
            return rollout.status.abort or not rollout.updating
        return True
