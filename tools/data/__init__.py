"""Tools that make and mend training data."""
