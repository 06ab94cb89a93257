"""Check published scores by arithmetic, without weights or data: docs/audit.md has the rules."""
