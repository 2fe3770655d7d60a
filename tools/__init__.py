"""Typed capabilities, and the one door every call goes through."""
