"""Test and measure on a CUDA device, in a few minutes: `make gpu`, or `python -m benchmarks.gpu`.

The parts run one after the other until the time is used up. Each writes its numbers to a JSON record as it makes them;
docs/speed-gpu.md is written from that record. With `--device cpu --quick` every part runs at a tiny size on the CPU.
"""
