"""One process that serves: its server, its threads, and how it ends."""
