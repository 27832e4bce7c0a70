"""What several commands do over some time."""
