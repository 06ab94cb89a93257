"""The command line of the benchmark on a device."""

import argparse
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu import contests, cuda_tests, entries, methods, page
from benchmarks.gpu.aims import aims_table
from benchmarks.gpu.session import ROOT, NotRunError, Session
from zoo.errors import first_line

SECONDS = 360
BUILD = ROOT / "build" / "speed-gpu.json"
NO_DEVICE = (
    "No CUDA device is available to torch. `python -m benchmarks.gpu --device cpu --quick` tries every part, tiny, on"
    " the CPU."
)


@dataclass(frozen=True)
class Part:
    """A part: what it measures, its function, and the seconds below which it is not worth starting."""

    title: str
    run: Callable[[Session], None]
    least: float = 30.0

    def reason_not_to_start(self, session: Session) -> str | None:
        """Return that too little time is left, or None."""
        least = 1 if session.quick else self.least
        if session.seconds_left >= least:
            return None
        return f"it needs {least:.0f} s or more, and {session.seconds_left:.0f} s were left"


PARTS = {
    "tests": Part("the tests on the device", cuda_tests.run_tests),
    "bert": Part("evaluation of BERT", contests.measure_bert),
    "resnet": Part("training of ResNet-20", contests.measure_resnet, 20),
    "finetune": Part("fine-tuning of MiniLM-L6", contests.measure_finetuning, 20),
    "methods": Part("training of the methods", methods.train_methods),
    "entries": Part("`zoo verify` over the entries of GLUE", entries.verify_entries),
}
"""The parts in their order."""


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that are asked for; return 1 if a test fails or if there is no device."""
    options = _parsed(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(NO_DEVICE)
        return 1
    out: Path = page.RECORD if options.write else options.out
    with tempfile.TemporaryDirectory(prefix="zoo-gpu-", ignore_cleanup_errors=True) as temporary:
        session = Session(
            device=options.device, quick=options.quick, seconds=options.seconds, folder=Path(temporary), out=out,
            logs=(BUILD if options.write else out).with_suffix(""),
        )  # fmt: skip
        session.load_record()
        try:
            run_parts(session, [name for name in PARTS if name in (options.only or PARTS)])
        finally:
            if options.write:
                page.update_page(session.record)
    where = f"All numbers: {out}. The output of the tests: {session.logs}"
    print(f"\n{page.about(session.record)}\n\n{aims_table(session.record)}\n\n{where}", flush=True)
    return int(bool(session.record["parts"].get("tests", {}).get("failed")))


def run_parts(session: Session, names: list[str]) -> None:
    """Run parts in their order, while time is left; the record says why one is not run."""
    with ExitStack() as stack:
        session.stack = stack
        if {"tests", "entries"} <= set(names):  # the time of the tests is no result, so they may be disturbed
            entries.start_preparation(session)
        for name in names:
            part, started = PARTS[name], time.monotonic()
            print(f"{name}: {part.title}; {session.seconds_left:.0f} s are left", flush=True)
            session.begin(name)
            reason = part.reason_not_to_start(session)
            try:
                if reason is None:
                    part.run(session)
            except NotRunError as error:
                reason = str(error)
            except Exception as error:  # a fault of one part must not cost the numbers of the others
                traceback.print_exc()
                reason = f"{type(error).__name__}: {first_line(error)}"
            if reason is not None:
                session.save(name, not_run=reason)
            ended = "done" if reason is None else f"not run: {reason}"
            print(f"{name}: {ended} ({time.monotonic() - started:.0f} s)", flush=True)
            entries.wait_for_preparation(session)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description="Test and measure zoo on a CUDA device, beside other programs."
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="where to compute (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="use tiny sizes, to check that everything runs")
    parser.add_argument(
        "--only", action="append", choices=tuple(PARTS), help="run only this part; can be repeated (default: all parts)"
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"the time for all parts (default: {SECONDS})")
    parser.add_argument(
        "--out", type=Path, default=BUILD, help="the record; other parts stay in it (default: build/speed-gpu.json)"
    )
    parser.add_argument("--write", action="store_true", help="write docs/speed-gpu.json and docs/speed-gpu.md")
    return parser


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options; exits with code 2 if they do not fit together."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.write and (options.quick or options.device == "cpu"):
        parser.error("--write is for measurements on a CUDA device, without --quick")
    if options.device == "cpu" and not options.quick:
        parser.error("--device cpu needs --quick: the sizes are those of a GPU")
    return options
