"""Log lines of the platform under care."""
