"""Spans of what happened."""
