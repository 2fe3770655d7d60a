"""The reconciliation of one application: fetch, compare, sync where that is automated, ask for health."""

from __future__ import annotations

import copy
import threading

from testbed import clock
from testbed.argocd.application import Application
from testbed.argocd.errors import FAILED_PRECONDITION, INVALID_ARGUMENT, Problem, SourceError
from testbed.argocd.faults import Fault
from testbed.argocd.health import Health, PlatformHealth
from testbed.argocd.source import GitSource
from testbed.argocd.state import FAILED, RUNNING, SUCCEEDED, Deployed, Memory, Operation, View

_HEALTH_OF_FAULT = {
    Fault.DEGRADED: Health("Degraded", "Deployment exceeded its progress deadline"),
    Fault.PROGRESSING: Health("Progressing", "Waiting for rollout to finish: 1 of 2 updated replicas are available"),
    Fault.LIE: Health("Healthy"),
}


class Controller:
    """Owns the state of an application; every method may be called from any thread."""

    def __init__(self, application: Application, source: GitSource, platform: PlatformHealth) -> None:
        self.application = application
        self._source = source
        self._platform = platform
        self._memory = Memory(created=clock.now())
        self._faults: frozenset[Fault] = frozenset()
        self._lock = threading.RLock()

    @property
    def faults(self) -> frozenset[Fault]:
        """The faults that are on."""
        return self._faults

    def switch(self, fault: Fault, on: bool) -> None:
        """Switch a fault on or off."""
        with self._lock:
            self._faults = self._faults | {fault} if on else self._faults - {fault}
            if fault is Fault.LIE and not on:
                self._memory.claimed = ""
            running = self._memory.operation
            if fault is Fault.HOOK_WAITING and not on and running is not None and running.phase == RUNNING:
                self._carry_out(running)

    def automate(self, on: bool) -> None:
        """Switch automated sync on or off."""
        with self._lock:
            self.application = self.application.with_automated(on)

    def reconcile(self) -> None:
        """Look at the remote and, where sync is automated, bring the cluster in line."""
        with self._lock:
            self._compare()
            if self.application.automated and not self._memory.problem and self._out_of_sync():
                last = self._memory.operation
                # What failed once is not tried again by itself at the same revision.
                tried = last is not None and last.revision == self._memory.head and last.phase in (RUNNING, FAILED)
                if not tried and not self._running():
                    self._begin(Operation(self._memory.head, "", clock.now()))

    def sync(self, revision: str, by: str, infos: tuple[tuple[str, str], ...]) -> None:
        """Begin a sync that somebody asked for; raises `Problem`."""
        with self._lock:
            branch = self._source.branch
            if self.application.automated and revision not in ("", branch):
                message = f"Cannot sync to {revision}: auto-sync currently set to {branch}"
                raise Problem(FAILED_PRECONDITION, message)
            if self._running():
                raise Problem(FAILED_PRECONDITION, "another operation is already in progress")
            self._compare()
            try:
                resolved = self._source.resolve(revision)
            except SourceError as error:
                raise Problem(INVALID_ARGUMENT, f"Unable to resolve {revision!r} to a commit SHA: {error}") from error
            self._begin(Operation(resolved, by, clock.now(), infos))

    def roll_back(self, identity: int, by: str) -> None:
        """Sync to the revision of a history entry; raises `Problem`."""
        with self._lock:
            if self.application.automated:
                raise Problem(FAILED_PRECONDITION, "rollback cannot be initiated when auto-sync is enabled")
            found = next((entry for entry in self._memory.history if entry.id == identity), None)
            if found is None:
                raise Problem(INVALID_ARGUMENT, f"application does not have deployment with id {identity}")
            self.sync(found.revision, by, ())

    def terminate(self) -> None:
        """End the running operation; raises `Problem`."""
        with self._lock:
            running = self._memory.operation
            if running is None or running.phase != RUNNING:
                raise Problem(INVALID_ARGUMENT, "Unable to terminate operation. No operation is in progress")
            self._end(running, FAILED, "Operation terminated", "Failed")

    def view(self) -> View:
        """Look at the application now; raises `SourceError`."""
        with self._lock:
            memory, applied = copy.deepcopy(self._memory), self._applied()
        return View(memory, applied, self._health(applied))

    # -- steps -----------------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        memory = self._memory
        problem = ""
        if Fault.COMPARISON_ERROR in self._faults:
            problem = "Failed to load target state: failed to generate manifest: values.yaml is no valid YAML"
        elif Fault.STALE not in self._faults or not memory.head:
            try:
                memory.head = self._source.fetch()
            except SourceError as error:
                problem = f"Failed to load target state: {error}"
        if problem != memory.problem:
            memory.problem, memory.problem_since = problem, clock.now() if problem else None
        memory.reconciled = clock.now()
        memory.version += 1

    def _out_of_sync(self) -> bool:
        try:
            return self._applied() != self._memory.head
        except SourceError as error:
            self._memory.problem, self._memory.problem_since = f"Failed to load live state: {error}", clock.now()
            return False

    def _applied(self) -> str:
        return self._memory.claimed or self._source.applied()

    def _running(self) -> bool:
        return self._memory.operation is not None and self._memory.operation.phase == RUNNING

    def _begin(self, operation: Operation) -> None:
        self._memory.operation = operation
        if Fault.HOOK_FAILED in self._faults:
            self._end(operation, FAILED, "one or more synchronization tasks completed unsuccessfully", "Failed")
        elif Fault.HOOK_WAITING in self._faults:
            operation.hook, operation.message = "Running", "waiting for completion of hook batch/Job/warm-up"
        else:
            self._carry_out(operation)

    def _carry_out(self, operation: Operation) -> None:
        memory = self._memory
        try:
            if Fault.LIE in self._faults:
                memory.claimed = operation.revision
            else:
                memory.claimed = ""
                self._source.apply(operation.revision)
        except SourceError as error:
            self._end(operation, FAILED, f"the cluster refused it: {error}", "")
            return
        self._end(operation, SUCCEEDED, "successfully synced (all tasks run)", "Succeeded" if operation.hook else "")
        entry = Deployed(len(memory.history), operation.revision, operation.started, clock.now(), operation.by)
        memory.history.append(entry)

    def _end(self, operation: Operation, phase: str, message: str, hook: str) -> None:
        operation.phase, operation.message, operation.hook = phase, message, hook
        operation.finished = clock.now()
        self._memory.version += 1

    def _health(self, applied: str) -> Health:
        for fault, health in _HEALTH_OF_FAULT.items():
            if fault in self._faults:
                return health
        return self._platform.of(applied) if applied else Health("Missing", "nothing is deployed yet")
