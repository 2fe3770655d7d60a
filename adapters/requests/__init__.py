"""Requests that were made before, and what they came to."""
