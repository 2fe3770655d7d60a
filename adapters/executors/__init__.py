"""The processes that run cycles."""
