"""What the lab puts into its guests; nothing here runs on the host."""
