"""What local tools ask of the daemon, and what they are told."""
