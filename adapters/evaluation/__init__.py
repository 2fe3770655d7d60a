"""Evaluation on the sealed held-out set, in a process of its own."""
