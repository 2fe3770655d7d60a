"""What `doctor` says of the channels and of the outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from domain.errors import DependencyUnavailable
from domain.permit import PermitOffice
from service.notices.channels import channels_of

if TYPE_CHECKING:
    from service.wiring import App


def checks(app: App) -> Iterator[tuple[str, Callable[[], str]]]:
    """Give a check for every channel that is configured, and one for the outbox."""
    config = app.config.notify
    if config is None:
        return
    for name in config.channels:
        yield f"notify {name}", partial(_asked, app, name)
    yield "outbox", lambda: outbox(app)


def outbox(app: App) -> str:
    """Return how the outbox stands.

    Raises:
        DependencyUnavailable: there are dead letters.
    """
    told = app.notices.check()
    dead = app.notices.counts().dead
    if dead:
        remedy = "See `evercrew notify list --state dead`, mend the channel, then `evercrew notify retry`"
        raise DependencyUnavailable("outbox", f"{dead} notices could not be told", remedy)
    return told


def _asked(app: App, name: str) -> str:
    config = app.config.notify
    assert config is not None
    with ExitStack() as closing:
        alone = config.model_copy(update={other: None for other in config.channels if other != name})
        return channels_of(alone, app.settings, app.notices, PermitOffice(app.clock), app.clock, closing)[name].check()
