"""One module per story, each with a ``SCENARIO``; ``cllab list`` shows them."""
