"""Alerts that were accepted and not yet taken."""
