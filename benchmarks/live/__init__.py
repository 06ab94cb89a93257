"""Verify published weights against the real Hub and GitHub, some entries a night."""
