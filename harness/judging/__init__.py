"""Judge claims by measurements. Pure functions; no torch."""
