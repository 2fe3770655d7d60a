"""What the handlers of requests stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request

if TYPE_CHECKING:
    from domain.clock import Clock
    from service.access.desk import Access
    from service.chat.desk import Chat
    from service.wiring import App


@dataclass(frozen=True)
class Serving:
    """The application, who may use it, and the desk that answers sentences (None: there is no chat)."""

    app: App
    access: Access
    chat: Chat | None = None

    @property
    def clock(self) -> Clock:
        """The clock of the application."""
        return self.app.clock


def serving(request: Request) -> Serving:
    """Return what the application answering this request stands on; a dependency of handlers."""
    found = request.app.state.serving
    assert isinstance(found, Serving)
    return found
