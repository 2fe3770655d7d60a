"""Training by H2O LLM Studio, through its real interface: ``python llm_studio/train.py -Y cfg.yaml``.

An experiment is named by its key, so asking twice joins the first. What it says of itself is believed only as a whole:
it is complete when the program ended with 0 and wrote ``finished`` into ``flags.json``; one without the other is a lie.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from adapters.meter import metered
from adapters.training.base import EFFECT_TRAIN, TrainingJob, TrainingResult
from adapters.training.llm_studio_charts import NAME, read_charts, read_flags
from adapters.training.llm_studio_config import laid_over, studio_config
from adapters.training.llm_studio_shell import Look, StudioHost
from adapters.training.worker import WorkerTraining
from adapters.worker import WorkerResult
from domain.clock import Clock
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

ENTRY = "llm_studio:train"
_KEY = re.compile(r"^[A-Za-z0-9][\w.-]{0,62}$")
_DATASETS = (".csv", ".pq", ".parquet")
_FAILED = ("failed", "stopped")


class StudioState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class StudioStatus(BaseModel):
    """How an experiment stands: where its model is (as its machine names it), its last figures, and why it failed.

    `progress` is from 0 to 1, None where nothing is known of it.
    """

    model_config = ConfigDict(frozen=True)

    state: StudioState
    model_path: str = ""
    metrics: Mapping[str, float] = Field(default_factory=dict)
    progress: float | None = None
    error: str = ""


class LlmStudio:
    """Experiments on one host; the effects are `start` and `stop`."""

    def __init__(self, *, host: StudioHost, permits: PermitVerifier) -> None:
        self._host = host
        self._permits = permits

    def start(
        self, key: str, settings: Mapping[str, Any], dataset: Path, *, timeout: timedelta, permit: Permit | None
    ) -> None:
        """Start the experiment `key`, or join it. `settings` are laid over the defaults of the configuration.

        Raises:
            InvalidInput: the key, the data set or a setting cannot be used; names it.
            DependencyError: the host does not do it.
        """
        self._permits.spend(permit, effect=EFFECT_TRAIN, key=key)
        self.begin(key, settings, dataset, timeout=timeout)

    def begin(self, key: str, settings: Mapping[str, Any], dataset: Path, *, timeout: timedelta) -> None:
        """As `start`, for who has spent the permit."""
        config = self._config(key, settings, dataset)
        with metered(NAME):
            self._host.submit(key, config, dataset, timeout)

    def status(self, key: str) -> StudioStatus | None:
        """Return how the experiment stands, None when there is none.

        Raises:
            DependencyLied: its files contradict each other, or cannot be read.
            DependencyError: the host does not answer.
        """
        with metered(NAME):
            look = self._host.look(_named(key))
            return None if look is None else _judged(look, self._host.place(key, "").output)

    def fetch(self, key: str, into: Path) -> None:
        """Copy the finished experiment's output into an existing folder."""
        with metered(NAME):
            self._host.fetch(_named(key), into)

    def stop(self, key: str) -> None:
        """End it; a part of training it, so the permit of its start covers this."""
        self._host.stop(_named(key))

    def check(self) -> str:
        """Return one line for `doctor`, or raise."""
        return self._host.check()

    def _config(self, key: str, settings: Mapping[str, Any], dataset: Path) -> str:
        if dataset.suffix not in _DATASETS or not re.fullmatch(r"[\w][\w.-]*", dataset.name):
            raise InvalidInput("dataset", f"{dataset.name!r} cannot be read", f"Use a file of {', '.join(_DATASETS)}")
        if not dataset.is_file():
            raise InvalidInput("dataset", f"{dataset.name} is not there", "Name the file")
        place = self._host.place(_named(key), dataset.name)
        for name in ("output_directory", "experiment_name"):
            if name in settings:
                raise InvalidInput(f"llm_studio.{name}", "is the key's", "Leave it out")
        given = settings.get("dataset")
        if isinstance(given, Mapping) and "train_dataframe" in given:
            raise InvalidInput("llm_studio.dataset.train_dataframe", "is the data set's", "Leave it out")
        fixed = {
            "output_directory": place.output,
            "experiment_name": key,
            "dataset": {"train_dataframe": place.dataset},
        }
        return studio_config(laid_over(settings, fixed)).text()


class LlmStudioTraining:
    """`TrainingPort` for jobs ``llm_studio:train`` with the spec ``{"dataset": FILE, "settings": {...}}``.

    The result's output is ``{"model_path", "metrics"}``, its folder a copy of the experiment's own.
    """

    def __init__(
        self,
        *,
        studio: LlmStudio,
        folder: Path,
        permits: PermitVerifier,
        clock: Clock,
        poll: timedelta = timedelta(seconds=10),
    ) -> None:
        self._studio = studio
        self._folder = folder
        self._permits = permits
        self._clock = clock
        self._poll = poll

    def run(self, job: TrainingJob, *, key: str, permit: Permit | None) -> TrainingResult:
        """See `TrainingPort.run`; a run that is interrupted goes on where it was when it is asked for again."""
        return self._kept(key).run(job, key=key, permit=permit)

    def observe(self, key: str) -> Observation:
        """See `TrainingPort.observe`; an experiment that runs is absent: running the job again joins it."""
        return self._kept(key).observe(key)

    def check(self) -> str:
        """See `TrainingPort.check`."""
        return self._studio.check()

    def _kept(self, key: str) -> WorkerTraining:
        runner = _Experiment(self._studio, key, self._clock, self._poll)
        return WorkerTraining(folder=self._folder, worker=runner, permits=self._permits, clock=self._clock)


class _Experiment:
    """A `Runner` bound to one experiment."""

    isolation = "H2O LLM Studio"

    def __init__(self, studio: LlmStudio, key: str, clock: Clock, poll: timedelta) -> None:
        self._studio = studio
        self._key = key
        self._clock = clock
        self._poll = poll

    def run(
        self, entry: str, spec: Mapping[str, Any], out: Path, *, timeout: timedelta, memory_mib: int
    ) -> WorkerResult:
        if entry != ENTRY:
            raise InvalidInput("entry", f"{entry} is no job of H2O LLM Studio", f"Use {ENTRY}")
        settings, dataset = spec.get("settings"), spec.get("dataset")
        if not isinstance(settings, Mapping) or not isinstance(dataset, str):
            raise InvalidInput("spec", "lacks settings or dataset", "Give both")
        begun = self._clock.monotonic()
        self._studio.begin(self._key, settings, Path(dataset), timeout=timeout)
        status = self._ended(begun, timeout)
        self._studio.fetch(self._key, out)
        output = {"model_path": status.model_path, "metrics": dict(status.metrics)}
        return WorkerResult(output, self._clock.monotonic() - begun, self.isolation)

    def _ended(self, begun: float, timeout: timedelta) -> StudioStatus:
        while True:
            status = self._studio.status(self._key)
            if status is None:
                raise DependencyLied(NAME, f"the experiment {self._key} is gone", "Look at the host's folder")
            if status.state is StudioState.COMPLETED:
                return status
            if status.state is StudioState.FAILED:
                raise DependencyUnavailable(NAME, f"the experiment failed: {status.error}", "Mend its settings or data")
            if self._clock.monotonic() - begun > timeout.total_seconds():
                self._studio.stop(self._key)
                raise DependencyTimeout(
                    NAME, f"it took longer than {timeout.total_seconds():g} s and was ended", "Allow it more time"
                )
            self._clock.sleep(self._poll)


def _judged(look: Look, output: str) -> StudioStatus:
    flags = read_flags(look.flags)
    told = flags.get("status", "")
    metrics = {**read_charts(look.charts), **look.metrics}
    progress = metrics.pop("progress", None)
    if look.running:
        state = StudioState.QUEUED if told == "queued" else StudioState.RUNNING
        return StudioStatus(state=state, metrics=metrics, progress=progress)
    if look.exit_code == 0 and told == "finished":
        return StudioStatus(state=StudioState.COMPLETED, model_path=output, metrics=metrics, progress=1.0)
    if told == "finished":
        ended = "vanished" if look.exit_code is None else f"ended with {look.exit_code}"
        raise DependencyLied(NAME, f"flags.json says finished, but the program {ended}", "Look at its train.log")
    if look.exit_code == 0:
        raise DependencyLied(NAME, "the program ended with 0 and never said finished", "Look at its train.log")
    error = _why(look, told)
    return StudioStatus(state=StudioState.FAILED, metrics=metrics, progress=progress, error=error)


def _why(look: Look, told: str) -> str:
    lines = [line.strip() for line in look.log.splitlines() if line.strip()]
    named = [line for line in lines if "ERROR" in line or "Error" in line]
    said = " | ".join((named or lines)[-3:])[-600:] or "it said nothing"
    if look.reason:
        return f"{look.reason}: {said}"
    if look.exit_code is None:
        return f"the program vanished (was the machine restarted?): {said}"
    if look.exit_code == 124:
        return f"it ran out of its time: {said}"
    flag = f", flag {told}" if told in _FAILED else ""
    return f"exit status {look.exit_code}{flag}: {said}"


def _named(key: str) -> str:
    if not _KEY.match(key):
        raise InvalidInput("key", f"{key!r} cannot name an experiment", "Use up to 63 letters, digits and ._-")
    return key
