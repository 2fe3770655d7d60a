"""Metrics scraped from the service's own page."""
