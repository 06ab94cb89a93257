"""Measure how often two runs of the same model get different verdicts: the A/A flip rate of the GitHub Action.

`python -m benchmarks.aa_flips --write` makes 204 real runs and simulates the other pairs, in about a minute. It writes
results.json and the table of docs/repeated-verdicts.md. No run belongs to two pairs.
"""
