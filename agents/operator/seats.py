"""Who works on an operator's question: the five roles, the Supervisor leading without tools, the others with reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from agents.roster import Roster, Seat, Tier
from domain.actor import Role

LEAD = "operator_lead"
TASKS: Mapping[Role, str] = {
    Role.METRICS_ANALYST: "operator_metrics",
    Role.DATA_ENGINEER: "operator_data",
    Role.ML_ENGINEER: "operator_model",
    Role.DEVOPS_ENGINEER: "operator_delivery",
}
"""The task of each specialist, in the order in which the playbook's Supervisor asks them."""

_TOOLS: Mapping[Role, tuple[str, ...]] = {
    Role.METRICS_ANALYST: ("anomaly_check", "signal_snapshot", "metric_query", "similar_cycles"),
    Role.DATA_ENGINEER: ("drift_report", "data_quality_report"),
    Role.ML_ENGINEER: ("registry_read",),
    Role.DEVOPS_ENGINEER: ("deployment_history", "runtime_state"),
}
_TIME = timedelta(minutes=2)


def operator_roster() -> Roster:
    """Return the seats of a talk with an operator; every tool in it is a read."""
    lead = Seat(
        role=Role.SUPERVISOR,
        tier=Tier.STRONG,
        tools={LEAD: ()},
        max_iterations=len(TASKS) + 4,
        time_limit=_TIME,
        max_calls=len(TASKS) + 2,
    )
    seats = [
        Seat(role=role, tier=Tier.STANDARD, tools={task: _TOOLS[role]}, max_iterations=8, time_limit=_TIME, max_calls=6)
        for role, task in TASKS.items()
    ]
    return Roster({seat.role: seat for seat in (lead, *seats)})
