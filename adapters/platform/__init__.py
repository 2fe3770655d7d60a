"""The platform under care: its data, logs and runtime state."""
