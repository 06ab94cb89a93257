"""Read, check and build recipes."""
