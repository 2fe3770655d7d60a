"""Measures how good the whole is, from outside of it."""
