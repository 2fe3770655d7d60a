"""The crews answer the questions the stages ask, without either seeing the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from adapters.llm.base import ChatPort
from agents.playbook import Playbook
from cycles.ports import Judges
from domain.actor import Role
from domain.diagnosis import Action
from tests.crews.bench import Bench, brief
from tests.crews.findings import drift, fallen, situation


def test_the_crews_are_the_judges_of_the_stages() -> None:
    judges: Judges = Bench(situation()).judges
    assert judges.diagnose(brief()).value.action is Action.NOISE


def test_every_task_gets_a_model_of_its_own() -> None:
    asked: list[Role] = []

    def counted(role: Role) -> ChatPort:
        asked.append(role)
        return Playbook()

    Bench(situation(), chat_for=counted).judges.diagnose(brief())
    assert asked == [Role.METRICS_ANALYST, Role.SUPERVISOR]


def test_two_cycles_at_once_do_not_mix() -> None:
    benches = [Bench(situation()), Bench(fallen(drift_report=drift(new=True)))]
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda bench: bench.judges.diagnose(brief()), benches))
    assert [answered.value.action for answered in answers] == [Action.NOISE, Action.RETRAIN]
    assert [len(answered.calls) for answered in answers] == [2, 8]
