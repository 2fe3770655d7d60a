"""Building CrewAI agents from the roster: in code, strictly, with everything off that would act, remember, retry or
print by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agents.roster import Seat

if TYPE_CHECKING:
    from crewai import Agent
    from crewai.tools import BaseTool

    from agents.model import CrewModel

REQUIRED_ENVIRONMENT: Mapping[str, str] = {
    # Else an exit without a network hangs for ten seconds.
    "CREWAI_DISABLE_TELEMETRY": "true",
    # Else the first crew waits five seconds for a question nobody answers.
    "CREWAI_TRACING_ENABLED": "false",
}
"""What CrewAI reads while it is imported, which this module does not do: the composition root sets it first.
`CREWAI_STORAGE_DIR` (an absolute path) is its to choose.
"""

# CrewAI logs a failed step on loggers without a handler, which Python prints on stderr; our errors tell it better.
logging.getLogger("crewai").addHandler(logging.NullHandler())


def build_agent(seat: Seat, model: CrewModel, tools: list[BaseTool], instructions: str) -> Agent:
    """Return the agent of a seat, for one task, with its own model.

    `instructions` is the rendered system prompt of the task.
    """
    from crewai import Agent

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
        # The belt cuts long results; nothing is put into files that a tool of CrewAI's own would read back.
        "use_better_compaction": False,
        "verbose": False,
    }
    return Agent(**settings)
