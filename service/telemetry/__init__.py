"""What Evercrew says of itself: metrics for a scraper, and log lines for a machine."""
