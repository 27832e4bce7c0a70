"""What several adapters need: starting programs, a forked child, what is mounted."""
