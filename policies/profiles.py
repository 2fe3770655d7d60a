"""Environment profiles: how fast, how bold and how dear a cycle may be. The code is the same in all of them."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import ConfigurationError
from policies.budget import BudgetProfile, LoopsProfile
from policies.consent import ApprovalsProfile, AutonomyProfile
from policies.contract import SignalOverride
from policies.durations import Duration
from policies.flags import FEATURES, KILL_SWITCH
from policies.limits import ChangeWindows, Limits
from policies.loading import parse_yaml


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Features(_Strict):
    """The features of the environment where the table of flags has no row."""

    self_improvement_enabled: bool
    auto_promote: bool
    auto_rollback: bool
    ab_testing: bool
    cost_optimization: bool


class MeasureProfile(_Strict):
    """How signals are measured.

    The `current` window, the `baseline` window that ends `gap` before an alert, and how long a breach must last
    (`confirm`) before anything is done about it. `near` is how long before the alert a release is suspect.
    `baseline_kind` seasonal compares with the same hour of the last weeks: for signals that follow day and week.
    """

    baseline_kind: Literal["preceding", "seasonal"] = "preceding"
    current: Duration
    baseline: Duration
    gap: Duration
    confirm: Duration
    near: Duration


class AbProfile(_Strict):
    """The A/B test: longest duration, smallest sample, share of users with the candidate, time between looks.

    `planned_users` is what both arms together are expected to have seen at the end of the window, where that is known;
    the sequential test is sharper with it. `min_window` has to pass before a candidate may win.
    """

    window: Duration
    min_users_per_arm: int = Field(ge=2)
    split: float = Field(gt=0, lt=1)
    poll: Duration
    min_window: Duration = timedelta()
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    planned_users: int | None = Field(default=None, ge=4)

    @model_validator(mode="after")
    def _looks_fit(self) -> Self:
        if not timedelta() < self.poll <= self.window:
            raise ValueError("poll must be longer than nothing and no longer than the window")
        return self

    @property
    def looks(self) -> int:
        """How many looks the window has."""
        return math.ceil(self.window / self.poll)


class WatchProfile(_Strict):
    """The watch after a promotion: `checks` looks, `interval` apart, which together are the window.

    `min_samples` is the number of judged sessions a check needs to count. With `silences` the alert manager is kept
    quiet about the signal of the cycle meanwhile.
    """

    window: Duration
    checks: int = Field(ge=1)
    interval: Duration
    min_samples: int = Field(ge=1)
    baseline_checks: int = Field(ge=6)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    tolerance: float = Field(default=0.0, ge=0, lt=1)
    silences: bool = False

    @model_validator(mode="after")
    def _checks_fill_the_window(self) -> Self:
        if not math.isclose(self.checks * self.interval.total_seconds(), self.window.total_seconds()):
            raise ValueError(f"{self.checks} checks of {self.interval} are not a window of {self.window}")
        return self


class PollProfile(_Strict):
    """How often, and for how long, a change is waited for; `approval` is how long a person has to answer."""

    signals: Duration
    delivery: Duration
    delivery_timeout: Duration
    training: Duration
    training_timeout: Duration
    approval: Duration
    approval_timeout: Duration


class BackupProfile(_Strict):
    """Backup of the artifacts: a five-field cron line, in UTC, and where to."""

    enabled: bool = False
    schedule: str = Field(default="0 2 * * *", pattern=r"^\S+( \S+){4}$")
    destination: str = ""


class Profile(_Strict):
    """One environment. `automation` is mock (made-up signals), staging (a person promotes) or full.

    `approver` says who gives the approvals that the contract asks for: a person, or, where nothing is at stake, this
    file. `on_kill` is what becomes of a change that is live and not judged yet when the kill switch is thrown: it is
    taken back, or kept as it is until the switch is lifted. `weekly_report` is when the last week's report is made:
    a five-field cron line, in UTC.
    """

    name: Literal["dev", "staging", "production"]
    contour: str = Field(min_length=1)
    automation: Literal["mock", "staging", "full"]
    mock_signals: bool = False
    cycle_interval: Duration
    max_cycles_per_day: int = Field(ge=1)
    kill_switch: bool = False
    manual_approval_required: bool = False
    approver: Literal["person", "profile"] = "person"
    on_kill: Literal["roll_back", "hold"] = "roll_back"
    limits: Limits = Limits()
    windows: ChangeWindows = ChangeWindows()
    features: Features
    measure: MeasureProfile
    ab: AbProfile
    watch: WatchProfile
    poll: PollProfile
    budget: BudgetProfile
    loops: LoopsProfile = LoopsProfile()
    backup: BackupProfile = BackupProfile()
    weekly_report: str = Field(default="0 6 * * 1", pattern=r"^\S+( \S+){4}$")
    approvals: ApprovalsProfile = ApprovalsProfile()
    autonomy: AutonomyProfile = AutonomyProfile()
    signals: dict[str, SignalOverride] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _people_approve_what_counts(self) -> Self:
        if self.approver != "person" and self.name != "dev":
            raise ValueError("approver: only dev may approve by its profile; leave it to a person")
        return self

    def flag_defaults(self) -> dict[str, bool]:
        """Return the flags where their table has no row; a required approval switches off automatic promotion."""
        values = {name: bool(getattr(self.features, name)) for name in FEATURES}
        if self.manual_approval_required:
            values["auto_promote"] = False
        return {**values, KILL_SWITCH: self.kill_switch}


def load_profile(text: str, *, file: str) -> Profile:
    """Return the profile of `text`.

    Raises:
        ConfigurationError: names file, field and remedy.
    """
    profile = parse_yaml(text, Profile, file=file)
    _check_test(profile.ab, file)
    return profile


def _check_test(ab: AbProfile, file: str) -> None:
    """Refuse a test that could not be served or won. Not a part of the model, which reads old records, too."""
    # The platform serves whole percents; another share would be rounded, and then read as a broken split.
    if not math.isclose(100 * ab.split, round(100 * ab.split), rel_tol=1e-9):
        problem = f"must be whole percents (got {ab.split!r})"
        raise ConfigurationError(f"{file}: ab.split", problem, "Give e.g. 0.2 or 0.05")
    if ab.min_window > ab.window:
        problem = f"is longer than the window of {ab.window}, so no candidate could ever win"
        raise ConfigurationError(f"{file}: ab.min_window", problem, "Make it no longer than `ab.window`")
