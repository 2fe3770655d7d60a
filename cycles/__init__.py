"""What comes next, and what survives a crash."""
