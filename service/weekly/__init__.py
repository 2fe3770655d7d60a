"""The weekly report: what a week came to, every figure computed from the store and the audit chain."""
