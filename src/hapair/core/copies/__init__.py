"""What is known of the data, on this node and on the other one."""
