"""Builders that several test folders share: a small simulated platform, scripted judges, and the wiring around them."""
