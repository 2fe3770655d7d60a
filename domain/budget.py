"""What is spent: whole numbers, so that sums are exact and nothing leaks by rounding."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.errors import InvalidInput

MICROS = 1_000_000

Kind = Literal["tokens", "usd_micros", "gpu_seconds", "cycles"]
KINDS: tuple[Kind, ...] = ("tokens", "usd_micros", "gpu_seconds", "cycles")


class Amounts(BaseModel):
    """Tokens of models, money in millionths of a US dollar, seconds of GPU, and cycles. All are zero or more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(default=0, ge=0)
    usd_micros: int = Field(default=0, ge=0)
    gpu_seconds: int = Field(default=0, ge=0)
    cycles: int = Field(default=0, ge=0)

    @property
    def nothing(self) -> bool:
        """Whether all of them are zero."""
        return not (self.tokens or self.usd_micros or self.gpu_seconds or self.cycles)

    def plus(self, other: Amounts) -> Amounts:
        """Return the sum."""
        return Amounts(
            tokens=self.tokens + other.tokens,
            usd_micros=self.usd_micros + other.usd_micros,
            gpu_seconds=self.gpu_seconds + other.gpu_seconds,
            cycles=self.cycles + other.cycles,
        )

    def minus(self, other: Amounts) -> Amounts:
        """Return the difference.

        Raises:
            ValueError: it would be less than nothing.
        """
        return Amounts(**{kind: self.of(kind) - other.of(kind) for kind in KINDS})

    def at_most(self, other: Amounts) -> Amounts:
        """Return the smaller of both, kind by kind."""
        return Amounts(**{kind: min(self.of(kind), other.of(kind)) for kind in KINDS})

    def of(self, kind: Kind) -> int:
        """Return the amount of one kind."""
        amount: int = getattr(self, kind)
        return amount

    def said(self) -> str:
        """Return it in words, e.g. ``1200 tokens, 0.25 USD``."""
        return ", ".join(amount_said(kind, self.of(kind)) for kind in KINDS if self.of(kind)) or "nothing"


class Ceiling(BaseModel):
    """What may be spent at most, in the units of `Amounts`; None where there is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int | None = Field(default=None, ge=0)
    usd_micros: int | None = Field(default=None, ge=0)
    gpu_seconds: int | None = Field(default=None, ge=0)
    cycles: int | None = Field(default=None, ge=0)

    def of(self, kind: Kind) -> int | None:
        """Return the limit of one kind."""
        limit: int | None = getattr(self, kind)
        return limit

    def exceeded_by(self, total: Amounts) -> tuple[Kind, ...]:
        """Return the kinds of which `total` is more than there may be."""
        limits = ((kind, self.of(kind)) for kind in KINDS)
        return tuple(kind for kind, limit in limits if limit is not None and total.of(kind) > limit)


def amount_said(kind: Kind, amount: int) -> str:
    """Return one amount in words."""
    if kind == "usd_micros":
        return f"{amount / MICROS:.2f} USD" if amount % 10_000 == 0 else f"{amount / MICROS:.6f} USD"
    return f"{amount} {kind.replace('_', ' ')}"


def usd(amount: float) -> Amounts:
    """Return so many US dollars, rounded up to a millionth: a price is never understated.

    Raises:
        InvalidInput: it is no amount: not a number, infinite, or less than nothing.
    """
    if not math.isfinite(amount) or amount < 0:
        raise InvalidInput("usd", f"{amount} is no amount of money", "Give a finite number of dollars, zero or more")
    return Amounts(usd_micros=-int(-amount * MICROS // 1))


def gpu(seconds: float) -> Amounts:
    """Return so many seconds of GPU, rounded up.

    Raises:
        InvalidInput: it is no amount: not a number, infinite, or less than nothing.
    """
    if not math.isfinite(seconds) or seconds < 0:
        raise InvalidInput("gpu_seconds", f"{seconds} is no amount of time", "Give a finite number, zero or more")
    return Amounts(gpu_seconds=math.ceil(seconds))
