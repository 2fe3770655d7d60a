"""Reading series from the metrics system."""
