"""What is shown to people, and what it is made of."""
