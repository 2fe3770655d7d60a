"""Every adapter of another vendor's system, against that system or a stub that speaks its protocol."""
