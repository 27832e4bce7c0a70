"""clbuild and clrestore: look at both nodes, then change both or neither."""
