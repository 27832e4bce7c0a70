"""The local control socket: messages and a client."""
