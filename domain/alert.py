"""Alerts, as intake normalises them from any webhook."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from domain.untrusted import Untrusted


class AlertStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class Alert(BaseModel):
    """One alert. Labels and annotations are what the sender wrote: untrusted, never executed."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str = Field(min_length=1)
    name: str
    status: AlertStatus
    signal: str
    target: str
    environment: str
    starts_at: datetime
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    source: str = "alertmanager"

    def text(self) -> Untrusted:
        """Return what a person would read of the alert, marked as untrusted."""
        lines = [f"{key}: {value}" for key, value in sorted(self.annotations.items())]
        return Untrusted(text="\n".join([self.name, *lines]), source=f"alert {self.fingerprint}")
