"""What goes in and out, and the state in the making. Nothing is decided here."""
