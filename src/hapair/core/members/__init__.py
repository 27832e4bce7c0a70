"""Together, cut or alone, and what an operator asked for."""
