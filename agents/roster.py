"""The roster: who works, on what, with which tools, for how long. One place; a tool that is not in the registry is an
error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from domain.actor import Role
from domain.decision import Effect
from domain.errors import ConfigurationError
from prompts.library import Prompt, fingerprint, render
from tools.registry import Registry

LOOKS = ("signal_snapshot", "metric_query", "metric_range", "anomaly_check")


class Tier(StrEnum):
    """How capable a model the role needs; the composition root binds tiers to models."""

    STANDARD = "standard"
    STRONG = "strong"


@dataclass(frozen=True)
class Seat:
    """One role: the tools it may hold by task, its model tier, and its limits.

    `max_iterations` counts model calls of a task; `time_limit` is for one task; `max_calls` are calls to the gate in
    a task.
    """

    role: Role
    tier: Tier
    tools: Mapping[str, tuple[str, ...]]
    max_iterations: int = 12
    time_limit: timedelta = timedelta(minutes=5)
    max_calls: int = field(default=8)

    @property
    def goal(self) -> Prompt:
        """Return what the role is there for."""
        return render(f"roles/{self.role.value}.md")

    def tools_for(self, task: str) -> tuple[str, ...]:
        """Return the names of the tools the role may hold in a task.

        Raises:
            ConfigurationError: the role does not work on that task.
        """
        if task not in self.tools:
            raise ConfigurationError(
                "roster", f"the {self.role.label} does not work on {task!r}", f"Its tasks are {sorted(self.tools)}"
            )
        return self.tools[task]

    def prompts(self) -> dict[str, str]:
        """Return the SHA-256 of every prompt the role is given, by file."""
        names = [f"roles/{self.role.value}.md"]
        names += [f"{task}/{part}.md" for task in self.tools for part in ("system", "task")]
        return {name: fingerprint(name) for name in names}


@dataclass(frozen=True)
class Roster:
    """The seats by role."""

    seats: Mapping[Role, Seat]

    def seat(self, role: Role) -> Seat:
        """Return the seat of a role.

        Raises:
            ConfigurationError: nobody has it.
        """
        try:
            return self.seats[role]
        except KeyError:
            raise ConfigurationError("roster", f"nobody is the {role.label}", "Give the role a seat") from None

    def check(self, registry: Registry) -> None:
        """Return when every tool named exists, and none that an agent may hold changes the world.

        Raises:
            ConfigurationError: names the seat and the tool.
        """
        for seat in self.seats.values():
            for task, names in seat.tools.items():
                for name in names:
                    if name not in registry:
                        raise ConfigurationError(
                            f"roster {seat.role.value} {task}", f"{name!r} is not a tool", "Name a registered tool"
                        )
                    if registry.get(name).spec.effect is not Effect.READ:
                        raise ConfigurationError(
                            f"roster {seat.role.value} {task}",
                            f"{name!r} changes the world",
                            "Agents propose; effects belong to the stages",
                        )

    def prompts(self) -> dict[str, str]:
        """Return the SHA-256 of every prompt of the crew, by file."""
        return {name: sha for seat in self.seats.values() for name, sha in seat.prompts().items()}


_SEATS = (
    Seat(
        role=Role.SUPERVISOR,
        tier=Tier.STRONG,
        tools={
            "diagnosis_review": ("signal_snapshot", "similar_cycles"),
            "augmentation_review": ("augmentation_preview",),
            "training_review": ("registry_read",),
            "promotion_review": ("runtime_state",),
            "postmortem_write": ("signal_snapshot", "similar_cycles"),
        },
        max_iterations=6,
    ),
    Seat(
        role=Role.METRICS_ANALYST,
        tier=Tier.STRONG,
        tools={
            "diagnosis_propose": (
                *LOOKS,
                "runtime_state",
                "data_quality_report",
                "deployment_history",
                "deployment_diff",
                "drift_report",
                "recall_report",
                "etl_report",
                "satisfaction_report",
                "attribution",
                "cost_report",
                "vector_status",
                "query_analytics",
                "feedback_report",
                "log_search",
                "similar_cycles",
            )
        },
    ),
    Seat(
        role=Role.DATA_ENGINEER,
        tier=Tier.STANDARD,
        tools={"augmentation_propose": ("drift_report", "data_quality_report", "augmentation_preview")},
    ),
    Seat(
        role=Role.ML_ENGINEER,
        tier=Tier.STANDARD,
        tools={"training_propose": ("registry_read", "attribution", "similar_cycles")},
    ),
    Seat(
        role=Role.DEVOPS_ENGINEER,
        tier=Tier.STANDARD,
        tools={
            "promotion_propose": (
                "runtime_state",
                "registry_read",
                "deployment_history",
                "deployment_diff",
                "ab_read",
            )
        },
    ),
)


def default_roster() -> Roster:
    """Return the five roles.

    Nobody works without any tool: CrewAI reads the answer of such an agent for words that look like a call.
    Every tool here is a read: specialists propose in typed slots, and the stages carry the effects out.
    """
    return Roster({seat.role: seat for seat in _SEATS})
