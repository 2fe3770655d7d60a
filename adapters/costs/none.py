"""No cost system: asking it says so."""

from __future__ import annotations

from datetime import datetime

from adapters.costs.base import Allocation
from domain.errors import ConfigurationError
from domain.measurement import Measurement


class NoCosts:
    """`CostsPort` where none is configured."""

    def allocation(self, target: str, start: datetime, end: datetime) -> Allocation:
        """Raise ConfigurationError."""
        raise _absent()

    def budget_share(self, target: str) -> Measurement:
        """Raise ConfigurationError."""
        raise _absent()

    def check(self) -> str:
        """See `CostsPort.check`; a platform may serve its own cost signal and need no cost system."""
        return "costs: none configured"


def _absent() -> ConfigurationError:
    return ConfigurationError(
        "costs", "no cost system is configured", "Add the section costs with the url of OpenCost or Kubecost"
    )
