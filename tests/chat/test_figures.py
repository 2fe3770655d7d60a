"""A sentence of a model stays only where its figures, moments and identities are somebody's who was asked."""

from __future__ import annotations

import pytest

from service.chat.figures import identities, kept

EVIDENCE = ['{"current": 0.4768, "relative_delta": -0.2036, "n": 1200, "at": "2026-03-12T09:30:00Z"}']


def stays(sentence: str) -> bool:
    good, _ = kept(sentence, EVIDENCE, lambda identity: identity == "si_2026_01_01_003")
    return bool(good)


@pytest.mark.parametrize(
    "sentence",
    [
        "nDCG is 0.4768 now.",
        "It is about 0.48.",
        "That is -20.4% off.",
        "That is 20% off, by 1,200 samples.",
        "It was read at 2026-03-12 09:30.",
        "See si_2026_01_01_003.",
        "It fell.",
    ],
)
def test_what_the_evidence_says_stays_also_rounded(sentence: str) -> None:
    assert stays(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "nDCG is 0.52 now.",
        "That is 35% off.",
        "It cost 12 USD.",
        "It was read at 2026-03-11 09:30.",
        "See si_2026_01_01_099.",
        "Approve ap_ffffffff.",
    ],
)
def test_what_nobody_said_goes(sentence: str) -> None:
    assert not stays(sentence)


def test_only_the_sentence_that_does_not_hold_goes() -> None:
    good, dropped = kept("nDCG is 0.4768. It will be 0.99 tomorrow.\nIt fell.", EVIDENCE, lambda _identity: True)
    assert good == ["nDCG is 0.4768.", "It fell."]
    assert dropped == 1
    assert identities("si_2026_01_01_003 and si_2026_01_01_003") == ["si_2026_01_01_003"]
