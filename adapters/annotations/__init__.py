"""Marking what was changed where people look at the numbers."""
