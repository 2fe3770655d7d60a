"""Keeping an alert manager quiet about what is being watched anyway."""
