"""Cycles, flags, tombstones, looks and recordings."""
