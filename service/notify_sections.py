"""Section `notify` of `evercrew.yaml`: who is told what, on which channels, and when.

Secrets are settings: EVERCREW_NOTIFY_SLACK_URL (the address of the incoming webhook), EVERCREW_NOTIFY_EMAIL_PASSWORD
and EVERCREW_NOTIFY_WEBHOOK_SECRET.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from policies.durations import Duration
from policies.limits import TimeOfDay
from service.sections import URL, Reached, Section

Severity = Literal["info", "warning", "critical"]
Channel = Literal["slack", "email", "webhook"]
CHANNELS: tuple[Channel, ...] = ("slack", "email", "webhook")


class NoticeKind(StrEnum):
    """What people are told of."""

    APPROVAL = "approval"
    HANDOFF = "handoff"
    ROLLBACK = "rollback"
    KILL_SWITCH = "kill_switch"
    REACTION_LATE = "reaction_late"
    BUDGET = "budget"
    POLICY_BROKEN = "policy_broken"
    OUTCOME = "outcome"
    WEEKLY = "weekly"
    SCHEDULE = "schedule"
    MESSAGE = "message"
    TEST = "test"


class SlackConfig(Reached):
    """An incoming webhook of Slack, or of what takes the same (Mattermost, Rocket.Chat)."""

    timeout_s: float = Field(default=5, gt=0, le=60)


class EmailConfig(Section):
    """A mail server and who gets mail; see `adapters.notify.email.Mailbox`."""

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    sender: str = Field(min_length=3)
    to: tuple[str, ...] = Field(min_length=1)
    ca: Path | None = None
    timeout_s: float = Field(default=10, gt=0, le=120)


class WebhookConfig(Reached):
    """An address of one's own that gets signed JSON."""

    url: str = Field(pattern=URL)
    timeout_s: float = Field(default=5, gt=0, le=60)


class RouteConfig(Section):
    """Where notices go: those of these kinds (all), of this severity or worse, of these environments (all)."""

    kinds: tuple[NoticeKind, ...] = ()
    severity: Severity = "info"
    environments: tuple[Literal["dev", "staging", "production"], ...] = ()
    channels: tuple[Channel, ...] = Field(min_length=1)


class QuietConfig(Section):
    """Hours in which only what is at least `severity` is told; the rest is told when they are over.

    `start` after `end` goes past midnight. Times are of `timezone`.
    """

    start: TimeOfDay
    end: TimeOfDay
    timezone: str = "UTC"
    severity: Severity = "critical"

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is no time zone; write e.g. Europe/Berlin") from error
        return value

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end are the same: leave quiet out, or let it have a length")
        return self


class RateConfig(Section):
    """At most so many messages on a channel in so long; what is more becomes one message that lists the rest."""

    most: int = Field(default=20, ge=2, le=1000)
    per: Duration = timedelta(minutes=10)

    @field_validator("per")
    @classmethod
    def _has_a_length(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=1) <= value <= timedelta(days=1):
            raise ValueError("per is between a second and a day")
        return value


class NotifyConfig(Section):
    """Who is told what. `public_url` is where the console is, for links; `attempts` end in a dead letter."""

    public_url: str = Field(default="", pattern=r"^(https?://[^@\s]+)?$")
    slack: SlackConfig | None = None
    email: EmailConfig | None = None
    webhook: WebhookConfig | None = None
    routes: tuple[RouteConfig, ...] = ()
    quiet: QuietConfig | None = None
    rate: RateConfig = RateConfig()
    attempts: int = Field(default=12, ge=1, le=100)
    keep_days: float = Field(default=30, gt=0)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels that are there."""
        return tuple(name for name in CHANNELS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Self:
        for route in self.routes:
            missing = [name for name in route.channels if name not in self.channels]
            if missing:
                raise ValueError(f"routes name {missing[0]}, and there is no section notify.{missing[0]}")
        return self
