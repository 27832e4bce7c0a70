"""The running node: the core's loop, what feeds it and what obeys it."""
