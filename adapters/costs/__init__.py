"""What the platform costs, by allocation."""
