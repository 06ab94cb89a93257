"""The command line of the benchmark."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.speed import prepare_data, report
from benchmarks.speed.cases import CASES

ROUNDS, QUICK = 5, 2


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description="Compare the speed of zoo with that of other programs."
    )
    names = [case.name for case in CASES]
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"cases to run, of {', '.join(names)} (default: all)")
    parser.add_argument("--rounds", type=int, help=f"runs of each contender (default: {ROUNDS}; {QUICK} with --quick)")
    parser.add_argument("--quick", action="store_true", help="use small sizes, to check that everything runs")
    parser.add_argument(
        "--data",
        choices=("auto", "synthetic", "real"),
        default="auto",
        help="synthetic: random texts and weights of the published shapes; real: those of --shared and --encoder;"
        " auto (default): real if both are given",
    )
    parser.add_argument("--shared", type=Path, help="folder with GLUE, CIFAR-10 and a ResNet-20 below data/")
    parser.add_argument("--encoder", type=Path, help="folder with all-MiniLM-L6-v2 in the format of transformers")
    parser.add_argument("--write", action="store_true", help="write docs/speed.md, docs/speed.json and the plots")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.cases if name not in names]:
        parser.error(f"unknown case {unknown[0]!r}; the cases are {', '.join(names)}")
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    shared = arguments.shared or next((path for path in [report.ROOT.parent / "shared"] if path.is_dir()), None)
    real = arguments.data != "synthetic" and shared is not None and arguments.encoder is not None
    if arguments.data == "real" and not real:
        parser.error("--data real needs --shared and --encoder")
    if arguments.write and arguments.quick:
        parser.error("--write cannot be combined with --quick, whose sizes only check that everything runs")
    rounds, kind = arguments.rounds or (QUICK if arguments.quick else ROUNDS), "real" if real else "synthetic"
    sizes = ", quick: with the sizes below, not those in the titles" if arguments.quick else ""
    print(f"{kind} data, {rounds} rounds{sizes}\n", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare_data.prepare_data(folder, shared if real else None, arguments.encoder if real else None)
        for case in CASES:
            if case.name not in (arguments.cases or names):
                continue
            measured = case.measure(folder, rounds, quick=arguments.quick)
            flops = [case.flops(folder, at_point[0].point) for at_point in measured]
            result = report.CaseResult(case, measured, flops)
            print(report.table(case, list(result.rows())), flush=True)
            if arguments.write:
                report.write(result, rounds, kind)
