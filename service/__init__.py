"""The composition root: reads the environment, serves a terminal, builds objects."""
