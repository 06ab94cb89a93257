"""Simulate how often verdicts on retrainings are wrong, for zoo's rules and for those of other programs.

`python -m benchmarks.verdicts` simulates 10,000 zoos for each setting, in about four minutes, and prints the tables of
docs/verdicts.md. With `--write` it puts them into that page and draws the plot docs/verdicts.svg.

A simulated zoo has 41 entries with one claim each, and is one family. The seed-to-seed standard deviations are those
that the project's recipes declare, in percentage points. The verdicts come from `plain_rules`, which a test compares
with `harness.judging` case by case.
"""
