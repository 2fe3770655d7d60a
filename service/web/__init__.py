"""The console: pages, their assets, and what happened, live."""
