"""The values repository."""
