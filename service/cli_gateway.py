"""`evercrew llm-studio-gateway`: H2O LLM Studio behind a small REST interface."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import ConfigurationError

LEAST_TOKEN = 16


def gateway(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 8090,
    config: Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")] = None,
) -> None:
    """Offer data set uploads, trainings and their status over HTTP, in front of H2O LLM Studio."""
    import uvicorn
    from pydantic import SecretStr

    from domain.clock import SystemClock
    from domain.permit import PermitOffice
    from service.auditing import audit_of
    from service.config import load_config
    from service.llm_studio_gateway import Gateway, gateway_app
    from service.settings import load
    from service.site import Site
    from service.trainers import studio_of

    settings = load()
    token = settings.llm_studio_gateway_token
    if len(token) < LEAST_TOKEN:
        raise ConfigurationError(
            "EVERCREW_LLM_STUDIO_GATEWAY_TOKEN", "is missing or short", f"Set at least {LEAST_TOKEN} characters"
        )
    loaded, clock = load_config(config or settings.config), SystemClock()
    with ExitStack() as closing:
        permits = PermitOffice(clock)
        site = Site(loaded, settings, permits, clock, closing)
        served = Gateway(
            studio=studio_of(site),
            permits=permits,
            audit=audit_of(loaded, clock, closing, key=settings.audit_key),
            folder=loaded.state / "llm-studio",
            token=SecretStr(token),
        )
        uvicorn.run(gateway_app(served), host=host, port=port, log_level=settings.log_level)
