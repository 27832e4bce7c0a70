"""What runs here, and how far up."""
