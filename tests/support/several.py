"""A served application with further targets."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from domain.errors import ConfigurationError
from service.api.serving import Serving
from service.further import Further
from service.wiring import App


def with_others(served: Serving) -> Serving:
    """Return it with two further targets: `ads` is open, `mail` cannot be."""

    def opened(target: str, _closing: ExitStack) -> App:
        if target == "mail":
            raise ConfigurationError("contract", "cannot be read", "Make it readable")
        return replace(app, config=app.config.model_copy(update={"target": target}))

    further = Further[App]("search", ["ads", "mail"], opened, served.clock, ExitStack())
    app = replace(served.app, further=further)
    further.begin(app)
    return replace(served, app=app)
