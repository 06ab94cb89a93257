"""Find out why two results differ: explain, diff and fingerprint."""
