"""Training in a worker process on this machine."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from adapters.locks import exclusive
from adapters.training.base import EFFECT_TRAIN, TrainingJob, TrainingResult
from adapters.worker import WorkerResult
from domain.canonical import canonical_json, json_ready
from domain.clock import Clock
from domain.errors import DependencyLied, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

NAME = "training"
_KEY = re.compile(r"^\w[\w.-]{0,199}$")
_RESULT = "result.json"


class Runner(Protocol):
    """Runs entry points somewhere: `adapters.worker.Worker` on this machine, or what stands for it."""

    @property
    def isolation(self) -> str:
        """How jobs are confined, in words."""
        ...

    def run(
        self, entry: str, spec: Mapping[str, Any], out: Path, *, timeout: timedelta, memory_mib: int
    ) -> WorkerResult:
        """Call ``module:function`` as function(spec, out); raises as `TrainingPort.run`."""
        ...


class WorkerTraining:
    """`TrainingPort` that keeps results in `folder`/<key>/ (what the job wrote, and ``result.json`` beside it).

    A job works in a folder of another name, which takes the key's name once all is written: a result is whole or not
    there.
    """

    def __init__(self, *, folder: Path, worker: Runner, permits: PermitVerifier, clock: Clock) -> None:
        self._folder = folder
        self._worker = worker
        self._permits = permits
        self._clock = clock

    def run(self, job: TrainingJob, *, key: str, permit: Permit | None) -> TrainingResult:
        """See `TrainingPort.run`."""
        self._permits.spend(permit, effect=EFFECT_TRAIN, key=key)
        place = self._place(key)
        wait = job.timeout + timedelta(minutes=5)
        with exclusive(self._folder / ".lock", holder=NAME, clock=self._clock, timeout=wait):
            if not place.exists():
                self._work(job, place)
        return self._stored(place)

    def observe(self, key: str) -> Observation:
        """See `TrainingPort.observe`."""
        place = self._place(key)
        if not place.exists():
            return Observation.absent("no result is kept under the key")
        return Observation.done(json_ready(self._stored(place).model_dump(mode="json")))

    def check(self) -> str:
        """See `TrainingPort.check`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return f"{NAME}: {self._worker.isolation}"

    def _work(self, job: TrainingJob, place: Path) -> None:
        running = self._folder / ".running"
        shutil.rmtree(running, ignore_errors=True)  # left behind by a killed process: we hold the lock
        out = running / place.name / "out"
        out.mkdir(parents=True)
        try:
            done = self._worker.run(job.entry, job.spec, out, timeout=job.timeout, memory_mib=job.memory_mib)
            if not isinstance(done.output, dict):
                raise DependencyLied(NAME, f"the job returned {type(done.output).__name__}, not an object")
            body = {"output": done.output, "seconds": done.seconds, "isolation": done.isolation, "entry": job.entry}
            (out.parent / _RESULT).write_text(canonical_json(body), encoding="utf-8")
            out.parent.rename(place)
        finally:
            shutil.rmtree(running, ignore_errors=True)

    def _stored(self, place: Path) -> TrainingResult:
        try:
            body = json.loads((place / _RESULT).read_text(encoding="utf-8"))
            return TrainingResult(folder=place / "out", output=body["output"], seconds=body["seconds"])
        except (OSError, ValueError, KeyError) as error:
            raise DependencyLied(NAME, f"the stored result of {place.name} is damaged", "Delete its folder") from error

    def _place(self, key: str) -> Path:
        if not _KEY.match(key):
            raise InvalidInput("key", f"{key!r} cannot name a folder", "Use letters, digits and ._- only")
        return self._folder / key
