"""The console: what pages show, how they are guarded, and what happened, live."""
