"""Ports and the vendors behind them: a folder a port, a file a vendor.

`base.py` is the contract, `memory.py` serves tests and embedding.
"""
