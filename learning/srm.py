"""Sample-ratio mismatch: did the split give each arm the share it should?"""

from __future__ import annotations

import math

from domain.verdict import Judgement, Verdict
from learning.quantiles import chi2_tail
from learning.series import judged, require


def check_sample_ratio(
    baseline: float, candidate: float, *, split: float = 0.2, alpha: float = 0.001, min_expected: float = 20.0
) -> Judgement:
    """Judge the user counts of two arms against the split by a chi-square test with one degree of freedom.

    `fail` means that assignment or logging is broken and the comparison must not be read; alpha 0.001 is the usual
    level (Fabijan et al., "Diagnosing sample ratio mismatch", KDD 2019).

    Args:
        baseline, candidate: users seen in each arm.
        split: the share that should be in the candidate arm, in (0, 1).
        alpha: chance of a false alarm at one look.
        min_expected: users expected in the smaller arm before the test is read.

    Raises:
        ValueError: `split` or `alpha` is not in (0, 1).
    """
    require(0 < split < 1, "split", split, "between 0 and 1")
    require(0 < alpha < 1, "alpha", alpha, "between 0 and 1")
    name = "sample_ratio"
    if not all(math.isfinite(x) and x >= 0 for x in (baseline, candidate)):
        return judged(Verdict.ERROR, f"user counts {baseline} and {candidate} are not counts", name)
    total = baseline + candidate
    if total * min(split, 1 - split) < min_expected:
        return judged(Verdict.INSUFFICIENT, f"{total:.0f} users are too few to check the split", name, users=total)
    expected = total * split
    gap = candidate - expected
    chi2 = gap * gap * (1 / expected + 1 / (total - expected))
    p = chi2_tail(chi2, 1)
    share = candidate / total
    reason = f"{share:.2%} of {total:.0f} users in the candidate arm, {split:.2%} planned (p = {p:.2g})"
    verdict = Verdict.PASS if p >= alpha else Verdict.FAIL
    return judged(verdict, reason, name, share=share, chi2=chi2, p=p, users=total)
