"""`python -m benchmarks.aa_flips`."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.aa_flips.real import real_pairs
from benchmarks.aa_flips.report import Results, text_of, write
from benchmarks.aa_flips.simulated import simulated_rows

PAIRS = 1_000


def main() -> None:
    """Measure, print the table, and store the results with `--write`."""
    parser = argparse.ArgumentParser(description="Measure how often two runs of the same model get different verdicts.")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"simulated pairs of each row. Default: {PAIRS}.")
    parser.add_argument("--write", action="store_true", help="write results.json and the table of the documentation")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        real = real_pairs(Path(folder))
    results = Results(real=real, simulated=list(simulated_rows(options.pairs)))
    print(text_of(results))
    if options.write:
        write(results)


if __name__ == "__main__":
    main()
