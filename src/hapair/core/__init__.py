"""Decisions: step(state, event) -> (state, effects). Pure."""
