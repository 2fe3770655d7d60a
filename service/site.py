"""What every system around the platform is built from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar

from domain.clock import Clock
from domain.permit import PermitOffice
from service.config import Config
from service.settings import Settings


class Closable(Protocol):
    """Something with connections."""

    def close(self) -> None: ...


Made = TypeVar("Made", bound=Closable)


@dataclass(frozen=True)
class Site:
    """What every system is built from."""

    config: Config
    settings: Settings
    permits: PermitOffice
    clock: Clock
    closing: ExitStack
    anchor: Callable[[], str] = str
    """Says, in a word, how the audit chain stands; commits carry it."""

    def keep(self, made: Made) -> Made:
        """Return what was made, to be closed with everything else."""
        self.closing.callback(made.close)
        return made
