"""Who may sign in to the service, and with what."""
