"""The processes that watch applications: one parent, and one Lems for each application."""
