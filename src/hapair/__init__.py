"""hapair: two Linux machines that behave like one that does not fail."""

__version__ = "0.1.0"
