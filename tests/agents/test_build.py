"""Agents are built with everything off that would act, remember, retry or print by itself."""

from __future__ import annotations

import subprocess
import sys

from adapters.traces.memory import MemoryTraces
from agents.build import REQUIRED_ENVIRONMENT, build_agent
from agents.meter import Meter
from agents.model import CrewModel, Seating
from agents.playbook import Playbook
from agents.roster import default_roster
from domain.actor import Role

LIGHT = "import agents.build, agents.meter, agents.playbook, agents.roster, sys; sys.exit('crewai' in sys.modules)"


def _model() -> CrewModel:
    seating = Seating(Playbook(), "diagnosis_review", {}, {}, Meter(), MemoryTraces(), "si_2026_01_31_001")
    return CrewModel.of(seating)


def test_an_agent_is_what_the_roster_says() -> None:
    seat = default_roster().seat(Role.SUPERVISOR)
    model = _model()
    agent = build_agent(seat, model, [], "Be careful.")
    assert (agent.role, agent.goal, agent.backstory) == ("Supervisor", seat.goal.text, "Be careful.")
    assert agent.llm is model
    assert agent.max_iter == seat.max_iterations


def test_nothing_of_crewais_own_is_on() -> None:
    agent = build_agent(default_roster().seat(Role.SUPERVISOR), _model(), [], "Be careful.")
    assert (agent.max_retry_limit, agent.allow_delegation, agent.verbose, agent.memory) == (0, False, False, None)
    assert not agent.use_better_compaction
    assert not agent.respect_context_window


def test_agents_do_not_share_a_model() -> None:
    seat = default_roster().seat(Role.SUPERVISOR)
    first, second = (build_agent(seat, _model(), [], "x") for _ in range(2))
    assert first.llm is not second.llm


def test_what_the_composition_root_needs_does_not_import_crewai() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], check=False)
    assert done.returncode == 0


def test_a_model_is_named_after_its_chat() -> None:
    assert _model().model == Playbook.name


def test_the_environment_switches_off_what_waits_for_a_network() -> None:
    assert set(REQUIRED_ENVIRONMENT) == {"CREWAI_DISABLE_TELEMETRY", "CREWAI_TRACING_ENABLED"}
