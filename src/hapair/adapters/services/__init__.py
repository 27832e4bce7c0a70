"""Look at a service that runs: its processes, files, sockets. Nothing is changed."""
