"""Trying something out where it can do no harm."""
