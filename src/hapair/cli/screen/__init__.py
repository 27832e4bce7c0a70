"""The terminal: what is printed on it and how, and what is read from a command line or JSON."""
