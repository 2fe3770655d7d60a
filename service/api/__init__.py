"""The REST API and the webhooks."""
