"""Compare the speed of zoo, torchdistill, the Trainer of transformers and plain loops on the same weights and rows.

`python -m benchmarks.speed [CASE ...]` prints the tables of docs/speed.md. With `--write` it puts them into that page
and draws the plots.
"""
