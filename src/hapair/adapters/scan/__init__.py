"""Look at this machine. Nothing here changes anything."""
