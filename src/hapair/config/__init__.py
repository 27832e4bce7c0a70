"""Text in, values or problems out."""
