"""Which is better, has it changed? Pure functions: numbers in, a decision with its reason out.

Every decision answers with one of the four verdicts. `pass` always needs enough finite numbers; a missing or short
input answers `insufficient`, a damaged one (NaN, infinite, negative variance) answers `error`.
"""
