"""Alerts that are sent here: who may send them, within which limits, and how they reach the disk."""
