"""What stands around every page: where we are, who looks, what waits, and whether everything is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from cycles.switches import flags_of
from domain.access import ApiAction
from domain.errors import DependencyError
from service.web.waiting import mine, waiting_for

if TYPE_CHECKING:
    from domain.access import Caller
    from service.api.serving import Serving


@dataclass(frozen=True)
class Place:
    """A place of the navigation; `count` is what waits there."""

    name: str
    label: str
    href: str
    count: int = 0

    @property
    def icon(self) -> str:
        return self.name


@dataclass(frozen=True)
class Frame:
    """What the base template shows. `thrown` are the kill switches that are on, in words."""

    target: str
    environment: str
    roles: str
    nav: tuple[Place, ...]
    thrown: tuple[str, ...]
    problem: str
    version: str
    sign_out: bool


_PLACES = (
    ("overview", "Overview", "/", ApiAction.VIEW),
    ("cycles", "Cycles", "/cycles", ApiAction.VIEW),
    ("approvals", "Approvals", "/approvals", ApiAction.VIEW),
    ("audit", "Audit", "/audit", ApiAction.VIEW_AUDIT),
    ("policies", "Policies", "/policies", ApiAction.VIEW),
    ("reports", "Reports", "/reports", ApiAction.VIEW),
    ("notices", "Notices", "/notices", ApiAction.VIEW),
    ("chat", "Chat", "/chat", ApiAction.CHAT),
    ("kill", "Kill switch", "/kill", ApiAction.VIEW),
    ("access", "Access", "/access", ApiAction.OWN_TOKENS),
)


def frame_of(serving: Serving, caller: Caller) -> Frame:
    """Return the frame; where the store does not answer it says so, and the page is still drawn."""
    app, problem = serving.app, ""
    waits = 0
    thrown: tuple[str, ...] = ()
    try:
        waits = mine(waiting_for(serving, caller))
        thrown = tuple(flags_of(app.ports.store, app.profile).thrown(app.profile.name))
    except DependencyError as failed:
        problem = f"{failed.dependency} does not answer: what waits, and whether it is stopped, is not known"
    may = {action: serving.access.allowed(caller, action).allowed for action in {place[3] for place in _PLACES}}
    places = (
        Place(name, label, href, waits if name == "approvals" else 0)
        for name, label, href, action in _PLACES
        if may[action]
    )
    return Frame(
        target=", ".join(app.targets),
        environment=app.config.environment,
        roles=", ".join(sorted(role.value for role in caller.roles)),
        nav=tuple(places),
        thrown=thrown,
        problem=problem,
        version=metadata.version("evercrew"),
        sign_out=caller.via == "session",
    )
