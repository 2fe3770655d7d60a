"""The distribution functions the decisions rest on: typed, over scipy.special (importing scipy.stats is slow)."""

from __future__ import annotations

import scipy.special as special


def normal_quantile(p: float) -> float:
    """Return z with P(Z <= z) = p for the standard normal."""
    return float(special.ndtri(p))


def t_quantile(p: float, df: float) -> float:
    """Return t with P(T <= t) = p for Student's t with `df` degrees of freedom (`df` > 0, may be fractional)."""
    return float(special.stdtrit(df, p))


def t_tail(t: float, df: float) -> float:
    """Return P(T > t) for Student's t with `df` degrees of freedom."""
    return float(special.stdtr(df, -t))


def chi2_tail(x: float, df: float) -> float:
    """Return P(X > x) for chi-square with `df` degrees of freedom."""
    return float(special.chdtrc(df, x))


def kolmogorov_quantile(alpha: float) -> float:
    """Return x with P(sup |Brownian bridge| > x) = alpha."""
    return float(special.kolmogi(alpha))


def best_mixture_scale(alpha: float) -> float:
    """Return the scale at which a Gaussian mixture bound of one-sided level `alpha` is tightest.

    The bound is tightest where information times prior variance is -W(-a^2/e) - 1 with a = 2 alpha (the one-sided
    bound is close to the two-sided one of twice the level), W the lower branch of Lambert's function; see Howard,
    Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021, section 3.5.
    """
    a = min(2 * alpha, 0.999)
    return float(-special.lambertw(-(a**2) * 0.36787944117144233, -1).real - 1)


def welch_df(v1: float, n1: int, v2: float, n2: int) -> float:
    """Return the Welch-Satterthwaite degrees of freedom for variances `v` and sizes `n` >= 2 (one variance > 0)."""
    a, b = v1 / n1, v2 / n2
    share = a / (a + b)
    return 1 / (share * share / (n1 - 1) + (1 - share) * (1 - share) / (n2 - 1))
