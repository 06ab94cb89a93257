"""The command line of the benchmark."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.speed import made, report
from benchmarks.speed.cases import CASES

ROUNDS, QUICK = 5, 2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="Speed of zoo and of others.")
    names = [case.name for case in CASES]
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(names)}; all where left out")
    parser.add_argument("--rounds", type=int, help=f"how often each contender runs; {ROUNDS}, or {QUICK} of quick ones")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    parser.add_argument(
        "--data",
        choices=("auto", "made", "hub"),
        default="auto",
        help="made: texts and weights of published shapes; hub: real ones; auto: real with --shared, --encoder",
    )
    parser.add_argument("--shared", type=Path, help="a folder with GLUE, CIFAR-10 and a ResNet-20 under data/")
    parser.add_argument("--encoder", type=Path, help="all-MiniLM-L6-v2, a folder of transformers")
    parser.add_argument("--write", action="store_true", help="write docs/speed.md, its numbers and its plots")
    given = parser.parse_args()
    if unknown := [name for name in given.cases if name not in names]:
        parser.error(f"no case {unknown[0]!r}; there are {', '.join(names)}")
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds takes 1 or more")
    shared = given.shared or next((path for path in [report.ROOT.parent / "shared"] if path.is_dir()), None)
    real = given.data != "made" and shared is not None and given.encoder is not None
    if given.data == "hub" and not real:
        parser.error("real data need --shared and --encoder")
    if given.write and given.quick:
        parser.error("--write goes without --quick: its sizes show only that everything runs")
    rounds, kind = given.rounds or (QUICK if given.quick else ROUNDS), "real" if real else "made"
    sizes = ", quick: of the sizes below, not of the titles'" if given.quick else ""
    print(f"{kind} data, {rounds} rounds{sizes}\n", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        made.lay(folder, shared if real else None, given.encoder if real else None)
        for case in CASES:
            if case.name not in (given.cases or names):
                continue
            measured = case.measure(folder, rounds, quick=given.quick)
            flops = [case.flops(folder, of_point[0].point) for of_point in measured]
            outcome = report.Outcome(case, measured, flops)
            print(report.table(case, list(outcome.rows())), flush=True)
            if given.write:
                report.write(outcome, rounds, kind)
