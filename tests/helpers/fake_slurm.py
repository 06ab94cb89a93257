"""A small Slurm: sbatch, squeue and scontrol that run the tasks of arrays as processes of this machine.

`install` writes the commands into a folder for PATH. The folder in FAKE_SLURM holds one folder a job, with a file for
each task that is queued or runs: its state, the process of its shell, and how often it was requeued. If the file
`refuse` exists there, sbatch fails with its text. If `interrupt` exists, sbatch interrupts its
caller once the job is queued.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMANDS = ("sbatch", "squeue", "scontrol")


@dataclass(frozen=True)
class FakeSlurm:
    """The folder of the jobs."""

    home: Path

    def submitted(self) -> list[dict[str, Any]]:
        """Return the jobs in the order of their submission: the options, and the lines of the script."""
        folders = sorted(self.home.glob("[0-9]*"), key=lambda folder: int(folder.name))
        return [json.loads((folder / "job.json").read_text()) for folder in folders]

    def running(self) -> dict[str, int]:
        """Return the processes of the running tasks by their names, such as `1_0`."""
        return {name: pid for name, (state, pid, _) in _tasks(self.home).items() if state == "RUNNING"}

    def is_empty(self) -> bool:
        """Return whether no task is queued or runs."""
        return not _tasks(self.home)

    def end(self) -> None:
        """Kill all processes."""
        for folder in self.home.glob("[0-9]*"):
            pid = int((folder / "runner.pid").read_text())
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in self.running().values():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def install(folder: Path) -> FakeSlurm:
    """Write the commands into `folder/bin` and return the cluster in `folder/jobs`."""
    (folder / "bin").mkdir(parents=True)
    (folder / "jobs").mkdir()
    for name in COMMANDS:
        command = folder / "bin" / name
        command.write_text(f"#!{sys.executable}\nfrom tests.helpers.fake_slurm import main\nmain({name!r})\n")
        command.chmod(0o755)
    return FakeSlurm(folder / "jobs")


def main(name: str) -> None:
    """Run one of the commands."""
    home = Path(os.environ["FAKE_SLURM"])
    if found := [each for each in os.environ if each.startswith(("SBATCH_", "SQUEUE_", "SLURM_CLUSTERS"))]:
        sys.exit(f"{name}: error: {found[0]} changes what this command does")
    {"sbatch": _sbatch, "squeue": _squeue, "scontrol": _scontrol}[name](home)


def _sbatch(home: Path) -> None:
    if (home / "refuse").exists():
        sys.exit(f"sbatch: error: {(home / 'refuse').read_text()}")
    parser = argparse.ArgumentParser()
    parser.add_argument("--parsable", action="store_true", required=True)
    for option in ("--array", "--time", "--mem", "--dependency"):
        parser.add_argument(option, default="")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs="*")
    options = vars(parser.parse_args())
    number = 1 + sum(1 for _ in home.glob("[0-9]*"))
    folder = home / str(number)
    folder.mkdir()
    shutil.copy(options["script"], folder / "script")
    lines = re.findall(r"^#SBATCH (.*)", (folder / "script").read_text(), re.MULTILINE)
    job = {**options, "number": number, "cwd": str(Path.cwd()), "lines": lines}
    (folder / "job.json").write_text(json.dumps(job))
    for task in _numbers(options["array"]):
        _write(folder, task, "PENDING", 0, 0)
    with (folder / "runner.log").open("wb") as log:
        code = "from tests.helpers.fake_slurm import run_job; import sys; run_job(sys.argv[1])"
        runner = subprocess.Popen(
            [sys.executable, "-c", code, folder],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    (folder / "runner.pid").write_text(str(runner.pid))
    if (home / "interrupt").exists():
        (home / "interrupt").unlink()
        os.kill(os.getppid(), signal.SIGINT)
        os._exit(1)
    print(number)


def run_job(path: str) -> None:
    """Run the tasks of a job until all of them have ended."""
    folder = Path(path)
    job = json.loads((folder / "job.json").read_text())
    most = int(job["array"].partition("%")[2] or 1000)
    before = [folder.parent / number for number in re.findall(r":(\d+)", job["dependency"])]
    while any(_queued(each) for each in before):
        time.sleep(0.02)
    processes: dict[int, subprocess.Popen[bytes]] = {}
    while waiting := {task: _read(folder / f"{task}.task") for task in _queued(folder)}:
        for task, (state, _, restarts) in waiting.items():
            if state == "PENDING" and len(processes) < most:
                processes[task] = _start(folder, job, task, restarts)
                _write(folder, task, "RUNNING", processes[task].pid, restarts)
            elif task in processes and processes[task].poll() is not None:
                del processes[task]
                if (folder / f"{task}.requeue").exists():
                    (folder / f"{task}.requeue").unlink()
                    _write(folder, task, "PENDING", 0, restarts + 1)
                else:
                    (folder / f"{task}.task").unlink()
        time.sleep(0.02)


def _start(folder: Path, job: dict[str, Any], task: int, restarts: int) -> "subprocess.Popen[bytes]":
    (output,) = (line.partition("=")[2] for line in job["lines"] if line.startswith("--output="))
    log = Path(job["cwd"]) / output.replace("%A", str(job["number"])).replace("%a", str(task))
    environment = {
        "SLURM_ARRAY_JOB_ID": str(job["number"]), "SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "1",
        **({"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}),
    }  # fmt: skip
    with log.open("ab") as file:
        return subprocess.Popen(
            ["bash", folder / "script", *job["arguments"]], cwd=job["cwd"], env={**os.environ, **environment},
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip


def _squeue(home: Path) -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-h", action="store_true", required=True)
    parser.add_argument("-r", action="store_true")
    parser.add_argument("--all", action="store_true", required=True)
    parser.add_argument("-j", default="")
    parser.add_argument("--name", default="")
    parser.add_argument("-o", default="")
    options = parser.parse_args()
    for name, (state, _, _) in _tasks(home).items():
        number, _, task = name.partition("_")
        lines = json.loads((home / number / "job.json").read_text())["lines"]
        if (options.j and options.j != name) or (options.name and f"--job-name={options.name}" not in lines):
            continue
        values = {"%F": number, "%K": task, "%T": state, "%r": "None" if state == "RUNNING" else "Resources"}
        print(" ".join(values[field] for field in options.o.split()))


def _scontrol(home: Path) -> None:
    command, name = sys.argv[1:]
    assert command == "requeue"
    number, _, task = name.partition("_")
    (home / number / f"{task}.requeue").touch()
    os.kill(_read(home / number / f"{task}.task")[1], signal.SIGTERM)


def _numbers(array: str) -> list[int]:
    parts = [part.split("-") for part in array.partition("%")[0].split(",")]
    return [number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)]


def _queued(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.task"))


def _tasks(home: Path) -> dict[str, tuple[str, int, int]]:
    found = {}
    for folder in home.glob("[0-9]*"):
        for task in _queued(folder):
            with suppress(FileNotFoundError):  # it has just ended
                found[f"{folder.name}_{task}"] = _read(folder / f"{task}.task")
    return found


def _read(path: Path) -> tuple[str, int, int]:
    state, pid, restarts = path.read_text().split()
    return state, int(pid), int(restarts)


def _write(folder: Path, task: int, state: str, pid: int, restarts: int) -> None:
    partial = folder / f"{task}.partial"
    partial.write_text(f"{state} {pid} {restarts}")
    partial.rename(folder / f"{task}.task")
