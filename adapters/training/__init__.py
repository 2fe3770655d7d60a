"""Training jobs in a process of their own."""
