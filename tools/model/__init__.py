"""Tools that train, register, evaluate and explain models."""
