"""Mount, unmount, and end what holds a mount."""
