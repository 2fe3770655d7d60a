"""What running things costs: the one place where seconds, cards and texts become money, tokens and GPU time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from domain.budget import Amounts, gpu, usd

# Tokens of one query said otherwise, in and out, and of the instructions that go with every batch of them; a query is
# a dozen words. What is really used is told by the model.
TOKENS_A_TEXT = 80
TOKENS_A_BATCH = 200
TEXTS_A_BATCH = 20


@dataclass(frozen=True)
class Rates:
    """US dollars for a second of the machine, of one GPU card on top, and for a token of the model that writes.

    `gpus` is how many cards a training target takes, by its name.
    """

    usd_per_second: float = 0.0
    gpu_usd_per_second: float = 0.0
    usd_per_token: float = 0.0
    gpus: Mapping[str, int] = field(default_factory=dict)

    def machine(self, seconds: float, target: str = "") -> Amounts:
        """Return what so long a run costs, cards of its training target included.

        Raises:
            InvalidInput: the time is no time.
        """
        cards = self.gpus.get(target, 0)
        return usd(self.dollars(seconds, target)).plus(gpu(seconds * cards))

    def dollars(self, seconds: float, target: str = "") -> float:
        """Return the same in US dollars."""
        return seconds * (self.usd_per_second + self.gpus.get(target, 0) * self.gpu_usd_per_second)

    def until(self, limit: timedelta, target: str = "") -> Amounts:
        """Return what a run costs at most that is ended at its limit."""
        return self.machine(limit.total_seconds(), target)

    def texts(self, count: int) -> Amounts:
        """Return what a model may take at most to say so many texts otherwise."""
        tokens = count * TOKENS_A_TEXT + math.ceil(count / TEXTS_A_BATCH) * TOKENS_A_BATCH
        return Amounts(tokens=tokens).plus(usd(tokens * self.usd_per_token))
