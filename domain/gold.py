"""Gold baselines: states of the platform that were measured to be well, and are kept for ever."""

from __future__ import annotations

import re
from datetime import date, datetime

from pydantic import BaseModel, ConfigDict, Field

from domain.dataset import DatasetRef
from domain.errors import InvalidInput

GOLD = "gold"
GOLD_PREFIX = f"{GOLD}/"
GOLD_NAME = re.compile(r"^gold/\d{4}-\d{2}-\d{2}-\d{1,4}$")


class GoldBaseline(BaseModel):
    """One baseline: model version, dataset version and values revision that were live together, and whose cycle ended
    well.

    `name` is the tag that the model version and the dataset version carry. `digest` is ``sha256:`` and 64 hexadecimal
    digits, `values_revision` 40 of them; a baseline without a dataset was not made by training here.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(pattern=GOLD_NAME.pattern)
    at: datetime
    cycle_id: str
    target: str
    environment: str
    model: str
    version: str
    digest: str
    values_revision: str
    index_generation: int
    dataset: DatasetRef | None = None


def gold_name(day: date, number: int) -> str:
    """Return the name of the `number`-th baseline (from 1) of `day`, e.g. ``gold/2026-01-31-1``."""
    if number < 1:
        raise InvalidInput("number", f"{number} is not a number of a baseline", "Count the baselines of a day from 1")
    return f"{GOLD_PREFIX}{day:%Y-%m-%d}-{number}"
