"""Parts of the process that need not be there: the chat, and telling people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.access.desk import Access
    from service.chat.desk import Chat
    from service.serving.tasks import Work
    from service.wiring import App


def chat_of(app: App, access: Access, *, runs_cycles: bool) -> Chat:
    """Return the desk that answers sentences.

    Args:
        runs_cycles: whether cycles are worked in this process; else a worker takes what is asked for.
    """
    from service.chat.making import chat_desk_of

    return chat_desk_of(app, access, runs_cycles=runs_cycles)


def notices_of(app: App) -> Work | None:
    """Return what tells people of what happened, None where nobody is to be told.

    Raises:
        ConfigurationError: section `notify` cannot be used.
    """
    if app.config.notify is None:
        return None
    from service.notices.desk import notice_desk_of

    return notice_desk_of(app, public_url=app.config.serve.public_url).run
