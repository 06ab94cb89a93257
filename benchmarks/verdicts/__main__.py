"""`python -m benchmarks.verdicts`."""

import argparse

from benchmarks.verdicts.report import DOCS, plot, rates_of, report, write

ZOOS, QUICK_ZOOS = 10_000, 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate how often verdicts on retrainings are wrong.")
    parser.add_argument("--quick", action="store_true", help=f"simulate {QUICK_ZOOS:,} zoos, not {ZOOS:,}")
    parser.add_argument("--write", action="store_true", help="write docs/verdicts.md and docs/verdicts.svg")
    arguments = parser.parse_args()
    zoos = QUICK_ZOOS if arguments.quick else ZOOS
    of = rates_of(zoos)
    text = report(zoos, of)
    print(text)
    if arguments.write:
        write(text)
        plot(of, DOCS / "verdicts.svg")


if __name__ == "__main__":
    main()
