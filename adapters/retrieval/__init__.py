"""Similar past cycles and runbooks."""
