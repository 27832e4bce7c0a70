"""What the node remembers of what happened, for people: nothing is decided with it."""
