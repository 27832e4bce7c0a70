"""The process that tells people and monitors: a client of the daemon, which it never delays."""
