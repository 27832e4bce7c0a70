"""Who may act alone."""
