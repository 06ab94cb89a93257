"""Run the tests and the starter suite as other x86 processors and thread counts compute.

Arguments of `python -m tests.processors` go to pytest, such as `tests/harness/models -x`. Without arguments the tests
in NUMERIC run. Each setting limits the instructions of one library: ATen (kernels of torch), oneDNN (convolutions and
bf16) or MKL (matrix products). A setting that needs more than this processor has is skipped and named.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tabulate import tabulate

ROOT = Path(__file__).parent.parent
CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
SETTINGS = {  # what each needs at least
    "ATEN_CPU_CAPABILITY=default": "DEFAULT",
    "ATEN_CPU_CAPABILITY=avx2": "AVX2",
    "ATEN_CPU_CAPABILITY=avx512": "AVX512",
    "ONEDNN_MAX_CPU_ISA=SSE41": "DEFAULT",
    "ONEDNN_MAX_CPU_ISA=AVX2": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS=SSE4_2": "DEFAULT",
    "MKL_CBWR=COMPATIBILITY": "DEFAULT",
}
NUMERIC = (
    "tests/harness/diagnosis", "tests/harness/evaluation", "tests/harness/losses", "tests/harness/models",
    "tests/harness/runs", "tests/harness/training", "tests/entries", "tests/zoo/models", "tests/zoo/starter",
    "tests/zoo/tasks",
)  # fmt: skip
"""The tests that compute with tensors. No other test can depend on the processor."""
SELECTION = "not slow and not process and not browser"
THREADS = ("OMP_NUM_THREADS=1", "OMP_NUM_THREADS=2", "OMP_NUM_THREADS=4")
SUITE = ("--suite", "starter", "--device", "cpu", "--json")


def main(arguments: list[str]) -> int:
    """Run everything under each setting, print a table and return the exit code."""
    chosen = arguments or ["-n", str(os.cpu_count()), "--dist", "worksteal", "-m", SELECTION, *NUMERIC]
    rows = [(setting, *results(setting, chosen)) for setting in (*SETTINGS, *THREADS)]
    print(tabulate(rows, headers=("setting", "tests", "zoo verify", "zoo fingerprint")))
    return int(any(cell.startswith("FAILED") for row in rows for cell in row))


def results(setting: str, arguments: list[str]) -> Iterator[str]:
    """The cells of a setting's row: the last line of pytest and the verdicts of each `zoo` command."""
    if why := above_this_processor(setting):
        yield f"skipped: {why}"
        return
    print(f"\n{setting}", flush=True)
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **dict([setting.split("=")])}
    yield tests(variables, arguments)
    yield reproduced(variables, "verify", *SUITE)
    yield reproduced(variables, "fingerprint", *SUITE)


def above_this_processor(setting: str) -> str:
    """Why a setting cannot be tried here; empty where it can."""
    if setting in THREADS:
        return ""
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"this processor is {platform.machine()}"
    needed, here = SETTINGS[setting], torch.backends.cpu.get_cpu_capability()
    above = here in CAPABILITIES and CAPABILITIES.index(needed) > CAPABILITIES.index(here)
    return f"it needs {needed}, here is {here}" if above else ""


def tests(variables: dict[str, str], arguments: list[str]) -> str:
    """Run pytest, show its output and return its last line."""
    command, last = [sys.executable, "-m", "pytest", "-q", *arguments], ""
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            last = line.strip("= \n") or last
    return last if running.returncode == 0 else f"FAILED: {last}"


def reproduced(variables: dict[str, str], *command: str) -> str:
    """Run a `zoo` command without earlier runs and return how many entries it reproduced."""
    with TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", "zoo", *command], cwd=ROOT, env={**variables, "ZOO_HOME": home},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if not done.stdout:
        return f"FAILED: {done.stderr.strip().splitlines()[-1]}"
    verdicts = [entry["verdict"] for entry in json.loads(done.stdout)["entries"]]
    found = f"{verdicts.count('reproduced')} of {len(verdicts)} reproduced"
    return found if done.returncode == 0 else f"FAILED: {found}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
