"""The platform over its HTTP API."""
