"""The policy set, as files that are watched."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from domain.clock import SystemClock
from domain.decision import AuthorizationRequest, Decision
from policies.live import LivePolicies
from policies.packaged import packaged_policy_files
from service.policyset import PolicyFolder
from tests.chaos.sites import Site, passes, stays
from tests.durability.wiring import Instead

EVERY = timedelta(seconds=0.02)
_FORBIDDEN = """
@id("forbid-by-chaos")
@reason("somebody has changed the set: nothing goes forward any more")
forbid (principal, action in [Action::"train_model", Action::"promote", Action::"ab_start"], resource);
"""


class PolicySite(Site):
    """`half a file` is one that was cut while it was written, `forbids` a good set that says no to what comes next."""

    name = "policy set"
    faults = (
        *stays("down", "gone"),
        *stays("lying", "half a file", "no policy", "forbids"),
        *passes("lying", "half a file"),
    )
    stages = ("observe", "augment", "promote", "roll_back")

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        super().__init__(folder, closing)
        self._set = folder / "policies"
        if not self._set.exists():
            self._set.mkdir()
            for name, content in packaged_policy_files().items():
                (self._set / name).write_bytes(content)

    def instead(self) -> Instead:
        """See `Site.instead`."""
        live = LivePolicies(PolicyFolder(self._set), monotonic=SystemClock().monotonic, every=EVERY)
        self._live: Any = live
        return replace(super().instead(), pdp=_Looking(live))

    def hurt(self, fault: str) -> None:
        """See `Site.hurt`; the set in force is that of the files once they were left alone."""
        file = self._set / "forbids.cedar"
        before = file.read_bytes()
        match fault:
            case "gone":
                self.moved_away(self._set)
                return
            case "half a file":
                file.write_bytes(before[: len(before) // 2])
            case "no policy":
                file.write_text("this is no policy\n")
            case _:
                file.write_bytes(before + _FORBIDDEN.encode())
        self._healing.append(lambda: file.write_bytes(before))
        SystemClock().sleep(3 * EVERY)


class _Looking:
    """Looks at the files before every answer, so that a fault shows at the stage it begins with."""

    def __init__(self, live: LivePolicies) -> None:
        self._live = live

    def decide(self, request: AuthorizationRequest) -> Decision:
        """See `Decider.decide`."""
        self._live.look()
        return self._live.decide(request)
