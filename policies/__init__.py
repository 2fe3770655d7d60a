"""May we? The reviewed policy set, its decision point, flags, the contract of signals, environments."""
