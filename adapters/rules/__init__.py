"""Overrides of the contract's numbers."""
