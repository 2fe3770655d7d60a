"""Traces in MLflow."""
