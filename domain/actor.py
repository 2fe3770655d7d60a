"""Who asks: a role of the crew, a person, or the system itself."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Role(StrEnum):
    """The five roles of the crew."""

    SUPERVISOR = "supervisor"
    METRICS_ANALYST = "metrics_analyst"
    DATA_ENGINEER = "data_engineer"
    ML_ENGINEER = "ml_engineer"
    DEVOPS_ENGINEER = "devops_engineer"

    @property
    def label(self) -> str:
        """The role as people read it."""
        return {"ml_engineer": "ML Engineer", "devops_engineer": "DevOps Engineer"}.get(
            self.value, self.value.replace("_", " ").title()
        )


class Actor(BaseModel):
    """The asker of one call. `via` says whether a model asked (`agent`) or the engine acted in the role (`stage`)."""

    model_config = ConfigDict(frozen=True)

    role: Role
    via: str = "stage"
    person: str | None = None

    def __str__(self) -> str:
        return self.person or f"{self.role.value}/{self.via}"
