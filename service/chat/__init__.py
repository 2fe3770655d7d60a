"""Talking with operators: a sentence becomes a typed intent, is answered from the record, or proposed."""
