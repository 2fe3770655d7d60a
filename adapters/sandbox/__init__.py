"""Computation that changes nothing, in an isolated process."""
