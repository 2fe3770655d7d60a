"""Object storage, for backups."""
