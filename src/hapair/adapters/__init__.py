"""Hands: each does one thing and reports what is known."""
