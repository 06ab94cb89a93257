"""Find, download and verify files: sources, the lock, mirrors and caches."""
