"""What is live, and waiting until it is."""
