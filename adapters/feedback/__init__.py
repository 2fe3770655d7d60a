"""What users say of their results."""
