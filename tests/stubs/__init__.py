"""Small servers that stand for what cannot run here."""
