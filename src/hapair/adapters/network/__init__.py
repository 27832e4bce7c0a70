"""Service addresses and the state of the networks, through the kernel's own sockets."""
