"""Carries letters to their receivers, each in a child of its own."""
