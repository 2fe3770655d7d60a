"""What everything that runs training jobs has to hold to."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from adapters.training.base import EFFECT_TRAIN, TrainingJob, TrainingPort, TrainingResult
from domain.errors import DependencyError, DependencyLied, DependencyUnavailable
from domain.observation import Seen
from domain.permit import Permit, PermitOffice
from tests.contract.permits import Effect, EffectContract, permit_for

JOBS = "tests.contract.toy_jobs"


def job(name: str, seconds: float = 120, memory_mib: int = 512, **spec: object) -> TrainingJob:
    """A job of the toy module."""
    return TrainingJob(entry=f"{JOBS}:{name}", spec=spec, timeout=timedelta(seconds=seconds), memory_mib=memory_mib)


class TrainingContract(EffectContract):
    """A vendor gives `training`, which can run the toy jobs."""

    @pytest.fixture
    def training(self, office: PermitOffice) -> TrainingPort:
        raise NotImplementedError

    @pytest.fixture
    def trace(self, tmp_path: Path) -> Path:
        return tmp_path / "results" / "trace"

    @pytest.fixture
    def effects(self, training: TrainingPort, trace: Path) -> list[Effect]:
        seen: set[str] = set()

        def run(key: str, permit: Permit | None) -> TrainingResult:
            seen.add(key)
            return training.run(job("add", a=1, b=2), key=key, permit=permit)

        def count() -> int:
            return sum(training.observe(key).seen is Seen.DONE for key in seen)

        return [Effect(EFFECT_TRAIN, run, count)]

    def run(self, training: TrainingPort, office: PermitOffice, work: TrainingJob, key: str = "k1") -> TrainingResult:
        return training.run(work, key=key, permit=permit_for(office, EFFECT_TRAIN, key))

    def test_a_job_returns_its_output_and_its_files(self, training: TrainingPort, office: PermitOffice) -> None:
        result = self.run(training, office, job("add", a=2, b=3))
        assert result.output == {"sum": 5}
        assert (result.folder / "sum.txt").read_text() == "5"
        assert result.seconds >= 0

    def test_the_stored_result_is_returned_without_running(self, training: TrainingPort, office: PermitOffice) -> None:
        first = self.run(training, office, job("add", a=2, b=3))
        assert self.run(training, office, job("fail")) == first

    def test_a_job_that_dies_leaves_no_result(self, training: TrainingPort, office: PermitOffice) -> None:
        with pytest.raises(DependencyUnavailable, match="no such thing"):
            self.run(training, office, job("fail"))
        assert training.observe("k1").seen is Seen.ABSENT
        assert self.run(training, office, job("add", a=1, b=1)).output == {"sum": 2}

    @pytest.mark.parametrize("name", ["not_json", "not_an_object"])
    def test_a_result_that_is_no_json_object_is_a_lie(
        self, training: TrainingPort, office: PermitOffice, name: str
    ) -> None:
        with pytest.raises(DependencyLied):
            self.run(training, office, job(name))
        assert training.observe("k1").seen is Seen.ABSENT

    def test_an_entry_point_that_is_not_there_is_an_error(self, training: TrainingPort, office: PermitOffice) -> None:
        with pytest.raises(DependencyError, match="nowhere"):
            self.run(training, office, job("nowhere"))

    def test_an_effect_is_found_by_its_key(self, training: TrainingPort, office: PermitOffice) -> None:
        assert training.observe("k1").seen is Seen.ABSENT
        result = self.run(training, office, job("add", a=2, b=3))
        assert TrainingResult.model_validate(training.observe("k1").outcome) == result

    def test_the_check_answers_in_one_line(self, training: TrainingPort) -> None:
        assert training.check()
        assert "\n" not in training.check()
