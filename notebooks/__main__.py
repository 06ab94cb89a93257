"""Execute the notebooks, or write their .ipynb files.

    python -m notebooks [NAME ...]       execute the notebooks, or those whose names contain NAME
    python -m notebooks --write          write the .ipynb files from the scripts
    python -m notebooks --budget 3       allow three times the budgets, on a slow or busy machine

A notebook fails if a cell raises an error or writes to stderr, if it takes longer than its budget, or if its .ipynb
file is not that of its script. It runs in a temporary folder, with no earlier runs and without requests to the Hub.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tabulate import tabulate

from notebooks.build import FOLDER, build, is_current, scripts, text_of
from notebooks.checks import BUDGETS, problem_of


def main() -> int:
    """Execute or write notebooks; return 1 if one fails."""
    options = _options()
    chosen = [script for script in scripts() if not options.names or any(name in script.stem for name in options.names)]
    if not chosen:
        print(f"no notebook is called like {' or '.join(options.names)}; there are {', '.join(BUDGETS)}")
        return 2
    if options.write:
        for script in chosen:
            script.with_suffix(".ipynb").write_text(text_of(script), encoding="utf-8")
            print(f"wrote {script.with_suffix('.ipynb').relative_to(FOLDER.parent)}")
        return 0
    rows = [(script.stem, *execute(script, BUDGETS[script.stem] * options.budget)) for script in chosen]
    total = ("together", sum(seconds for _, seconds, _ in rows), "")
    print("\n" + tabulate([*rows, total], headers=["notebook", "seconds", "result"], floatfmt=".0f"))
    return int(any(result != "passed" for *_, result in rows))


def execute(script: Path, budget: float) -> tuple[float, str]:
    """Execute the notebook of a script in a new kernel; return the seconds and `passed`, or why it failed."""
    print(f"{script.stem} ...", flush=True)
    notebook, started = build(script), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        # the kernel has the repository on its path also where zoo is not installed
        environment = {
            **os.environ, "ZOO_HOME": f"{folder}/home", "TMPDIR": folder, "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(FOLDER.parent), os.environ.get("PYTHONPATH")])),
        }  # fmt: skip
        client = NotebookClient(
            notebook, timeout=round(budget), kernel_name="python3", resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],  # the kernel warns that its connections are not encrypted
        )  # fmt: skip
        try:
            client.execute(env=environment)
        except CellTimeoutError:
            return time.monotonic() - started, f"a cell took longer than the budget of {budget:g} s"
        except CellExecutionError as error:
            print(error)
            return time.monotonic() - started, f"failed: {error.ename}: {(error.evalue.splitlines() or [''])[0]}"
        except DeadKernelError:
            return time.monotonic() - started, "failed: its kernel ended, perhaps because memory ran out"
    seconds = time.monotonic() - started
    return seconds, problem_of(notebook, seconds, budget, current=is_current(script)) or "passed"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m notebooks", description="Execute the notebooks, or write them.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts of names of notebooks (default: all notebooks)")
    parser.add_argument("--write", action="store_true", help="write the .ipynb files and execute nothing")
    parser.add_argument("--budget", type=float, default=1, metavar="TIMES", help="multiply the budgets (default: 1)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
