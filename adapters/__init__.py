"""Ports and the vendors behind them: a folder a port, `base.py` its contract, a file a vendor, `memory.py` for tests and embedding."""
