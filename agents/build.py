"""Building CrewAI agents from the roster: in code, strictly, with everything off that would act, remember, retry or
print by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from crewai import Agent
from crewai.tools import BaseTool

from agents.model import CrewModel
from agents.roster import Seat

REQUIRED_ENVIRONMENT: Mapping[str, str] = {
    # Else an exit without a network hangs for ten seconds.
    "CREWAI_DISABLE_TELEMETRY": "true",
    # Else the first crew waits five seconds for a question nobody answers.
    "CREWAI_TRACING_ENABLED": "false",
}
"""What CrewAI reads while it is imported; the composition root sets it before. `CREWAI_STORAGE_DIR` (an absolute
path) is its to choose.
"""

# CrewAI logs a failed step on loggers without a handler, which Python prints on stderr; our errors tell it better.
logging.getLogger("crewai").addHandler(logging.NullHandler())


def build_agent(seat: Seat, model: CrewModel, tools: list[BaseTool], instructions: str) -> Agent:
    """Return the agent of a seat, for one task, with its own model.

    `instructions` is the rendered system prompt of the task.
    """
    settings: dict[str, Any] = {
        "role": seat.role.label,
        "goal": seat.goal.text,
        "backstory": instructions,
        "llm": model,
        "tools": tools,
        "max_iter": seat.max_iterations,
        # One attempt: what may be tried again is decided where it is known to be safe.
        "max_retry_limit": 0,
        "allow_delegation": False,
        "cache": False,
        "memory": False,
        "respect_context_window": False,
        "verbose": False,
    }
    return Agent(**settings)
