"""Heartbeats: what they look like, and the process that sends and receives them."""
