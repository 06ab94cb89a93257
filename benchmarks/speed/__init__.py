"""Speed of zoo, torchdistill, the Trainer of transformers and plain loops, on the same weights and the same rows.

`python -m benchmarks.speed [CASE ...]` prints the tables of docs/speed.md; `--write` puts them there, with the plots.
"""
