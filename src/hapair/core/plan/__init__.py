"""Plans: what a command would change, and why it may not."""
