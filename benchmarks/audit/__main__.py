"""`python -m benchmarks.audit`."""

import argparse

from benchmarks.audit.report import report, write

CARDS, FAULTS_OF_A_KIND = 500, 12


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure zoo audit on honest cards and on planted faults.")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/audit.md")
    text = report(CARDS, FAULTS_OF_A_KIND)
    if parser.parse_args().write:
        write(text)
    print(text)


if __name__ == "__main__":
    main()
