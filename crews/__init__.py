"""Crews: each asks agents for one typed judgement and brings back an answer or an error."""
