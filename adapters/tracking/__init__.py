"""Experiments and the model registry."""
