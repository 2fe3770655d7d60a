"""What every system around the platform is built from."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from domain.clock import Clock
from domain.permit import PermitOffice
from service.config import Config
from service.settings import Settings


@dataclass(frozen=True)
class Site:
    """What every system is built from."""

    config: Config
    settings: Settings
    permits: PermitOffice
    clock: Clock
    closing: ExitStack
