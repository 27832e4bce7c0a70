"""The node daemon: turns the world into events and effects into actions."""
