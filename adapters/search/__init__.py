"""The search engine behind the platform: what users ask it, and how well it ranks."""
