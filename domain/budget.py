"""What is spent: whole numbers, so that sums are exact and nothing leaks by rounding."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MICROS = 1_000_000


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


def usd(amount: float) -> Amounts:
    """Return so many US dollars, rounded up to a millionth: a price is never understated."""
    return Amounts(usd_micros=max(-int(-amount * MICROS // 1), 0))
