"""Switching the other node's power off, by the agents of the fence-agents package."""
