"""Training in this process, for tests and embedding: no limits, nothing kept when the object goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters.training.base import EFFECT_TRAIN, TrainingJob, TrainingResult
from domain.canonical import json_ready
from domain.clock import Clock
from domain.errors import DependencyLied, DependencyUnavailable
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

Entry = Callable[[Mapping[str, Any], Path], Any]


class MemoryTraining:
    """`TrainingPort` that calls the functions of `entries`, by the names jobs use."""

    def __init__(self, *, entries: Mapping[str, Entry], folder: Path, permits: PermitVerifier, clock: Clock) -> None:
        self._entries = dict(entries)
        self._folder = folder
        self._permits = permits
        self._clock = clock
        self._results: dict[str, TrainingResult] = {}

    def run(self, job: TrainingJob, *, key: str, permit: Permit | None) -> TrainingResult:
        """See `TrainingPort.run`."""
        self._permits.spend(permit, effect=EFFECT_TRAIN, key=key)
        if key not in self._results:
            self._results[key] = self._run(job, key)
        return self._results[key]

    def observe(self, key: str) -> Observation:
        """See `TrainingPort.observe`."""
        result = self._results.get(key)
        if result is None:
            return Observation.absent("no result is kept under the key")
        return Observation.done(json_ready(result.model_dump(mode="json")))

    def check(self) -> str:
        """See `TrainingPort.check`."""
        return f"memory: {len(self._entries)} entry points"

    def _run(self, job: TrainingJob, key: str) -> TrainingResult:
        entry = self._entries.get(job.entry)
        if entry is None:
            raise DependencyUnavailable("memory", f"there is no entry point {job.entry}")
        begun = self._clock.monotonic()
        out = self._folder / key
        out.mkdir(parents=True, exist_ok=True)
        try:
            output = entry(json_ready(job.spec), out)
        except (ArithmeticError, LookupError, OSError, RuntimeError, ValueError, MemoryError) as error:
            raise DependencyUnavailable("memory", f"the job died: {type(error).__name__}: {error}") from error
        try:
            plain = json.loads(json.dumps(output, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise DependencyLied("memory", f"the job returned something that is not JSON: {error}") from error
        if not isinstance(plain, dict):
            raise DependencyLied("memory", f"the job returned {type(plain).__name__}, not an object")
        return TrainingResult(folder=out, output=plain, seconds=self._clock.monotonic() - begun)
