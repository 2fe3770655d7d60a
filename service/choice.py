"""Which target is meant, where a configuration looks after several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import DependencyUnavailable, InvalidInput

if TYPE_CHECKING:
    from cycles.dossier import Dossier
    from domain.approval import ApprovalRequest
    from service.config import Config
    from service.wiring import App


def chosen(app: App, target: str) -> App:
    """Return the application over the systems of the named target, or of the first one where none is named.

    Raises:
        InvalidInput: there is no such target.
        DependencyUnavailable: its systems cannot be opened.
    """
    return app.at(_known(target, app.targets)) if target else app


def chosen_config(config: Config, target: str) -> Config:
    """Return the configuration of the named target, or of the first one where none is named.

    Raises:
        InvalidInput: there is no such target.
    """
    return config.at(_known(target, config.every_target)) if target else config


def dossier_of(app: App, request: ApprovalRequest) -> Dossier:
    """Return what is known about a request, of its target's systems; it can be looked at, and denied, without them."""
    from cycles.dossier import dossier

    try:
        return dossier(app.at(request.binding.target).office, request)
    except DependencyUnavailable as problem:
        return dossier(app.office, request, shut=problem)


def _known(target: str, there: tuple[str, ...]) -> str:
    if target not in there:
        raise InvalidInput("target", f"{target!r} is not cared for here", f"Use one of: {', '.join(there)}")
    return target
