"""Traces on LangSmith."""
