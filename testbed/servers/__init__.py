"""Servers of other vendors, started on the loopback address for demos and tests and stopped with them."""
