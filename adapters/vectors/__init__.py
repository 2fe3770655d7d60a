"""The vector index: its state, and what mends it."""
