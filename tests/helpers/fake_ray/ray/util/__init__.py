"""Part of a small Ray."""
