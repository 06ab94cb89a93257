"""Run published models and judge their claims: evaluation, training, records and verdicts."""
