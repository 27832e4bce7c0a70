"""Decisions: step(state, event) -> (state, effects). Pure.

Comments name what a line is for: rules R1 to R8 are those of docs/internals/safety.md, and a row is
the failure with that number in docs/operating/runbooks.
"""
